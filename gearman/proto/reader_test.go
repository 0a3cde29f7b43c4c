package proto

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
)

func TestTextAndBinaryMixed(t *testing.T) {
	t.Parallel()
	in := bytes.Join([][]byte{
		[]byte("OK 1.1.20+ds\n"), AppendEcho(nil, Response, "hi"), []byte("OK\r\n.\n"),
		AppendEmpty(nil, Response, TypeNoop),
	}, nil)
	r := NewReader(iotest.HalfReader(bytes.NewReader(in)), Limits{})
	var got []string
	for {
		text, err := r.IsText()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if text {
			line, err := r.ReadLine()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(line))
			continue
		}
		p, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p.String())
	}
	want := []string{"OK 1.1.20+ds", "RES ECHO_RES (2 bytes)", "OK", ".", "RES NOOP (0 bytes)"}
	if diff := check.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want string
		err  error
	}{
		"lf":              {in: "a b\nrest", want: "a b"},
		"crlf":            {in: "a b\r\n", want: "a b"},
		"empty":           {in: "\n", want: ""},
		"end":             {in: "", err: io.EOF},
		"cut":             {in: "stat", err: io.ErrUnexpectedEOF},
		"too long":        {in: "0123456789\n", err: ErrTooLarge},
		"too long, no lf": {in: strings.Repeat("x", 100), err: ErrTooLarge},
		"just fits":       {in: "012345678\n", want: "012345678"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line, err := NewReader(iotest.OneByteReader(strings.NewReader(tt.in)), Limits{Line: 10}).ReadLine()
			if !errors.Is(err, tt.err) || string(line) != tt.want {
				t.Errorf("got %q, %v, want %q, %v", line, err, tt.want, tt.err)
			}
		})
	}
}

func TestStreamedData(t *testing.T) {
	t.Parallel()
	payload := bytes.Repeat([]byte("0123456789"), 30_000)
	in := AppendJobAssignUniq(nil, "H:h:1", "f", "u", payload)
	in = AppendEmpty(in, Response, TypeNoJob)
	for name, src := range map[string]io.Reader{
		"all": bytes.NewReader(in), "bytes": iotest.OneByteReader(bytes.NewReader(in)),
	} {
		r := NewReader(src, Limits{Packet: 100})
		h, err := r.ReadHeader()
		if err != nil || h.Type != TypeJobAssignUniq {
			t.Fatal(name, h, err)
		}
		front, err := r.Peek(20)
		if err != nil {
			t.Fatal(name, err)
		}
		a, err := Packet{Dir: h.Dir, Type: h.Type, Data: front}.Assignment()
		if err != nil {
			t.Fatal(name, err)
		}
		if err := r.Discard(20 - len(a.Payload)); err != nil {
			t.Fatal(name, err)
		}
		if r.Rest() != int64(len(payload)) {
			t.Errorf("%s: rest %d, want %d", name, r.Rest(), len(payload))
		}
		got, err := io.ReadAll(io.LimitReader(r, 100_000))
		if err != nil || !bytes.Equal(got, payload[:100_000]) {
			t.Errorf("%s: streamed data differs (%d bytes, %v)", name, len(got), err)
		}
		p, err := r.Next() // skips the unread data
		if err != nil || p.Type != TypeNoJob {
			t.Errorf("%s: %v %v", name, p, err)
		}
	}
	r := NewReader(bytes.NewReader(in[:1000]), Limits{})
	if _, err := r.ReadHeader(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut while streaming: %v", err)
	}
}
