package backlog

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestReadAnswer(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", chunkSize+10)
	tests := map[string]struct {
		in      string
		cutLong bool
		want    []string
		err     error
	}{
		"empty":                       {in: ".\n"},
		"empty, CRLF":                 {in: ".\r\n"},
		"rows":                        {in: "a\t1\nb\t2\n.\n", want: []string{"a\t1", "b\t2"}},
		"rows, CRLF":                  {in: "a\t1\r\nb\t2\r\n.\r\n", want: []string{"a\t1", "b\t2"}},
		"a function called .":         {in: ".\t0\t0\t1\n.\n", want: []string{".\t0\t0\t1"}},
		"a name that ends with .":     {in: "a.\t0\t0\t1\n.\n", want: []string{"a.\t0\t0\t1"}},
		"empty row":                   {in: "\n.\n", want: []string{""}},
		"after the end, another row":  {in: ".\na\t1\n.\n", err: errBadAnswer},
		"after the end, half a row":   {in: "a\t1\n.\nb", err: errBadAnswer},
		"after the end, another end":  {in: ".\r\n.\n", err: errBadAnswer},
		"no end":                      {in: "a\t1\n", want: []string{"a\t1"}, err: io.ErrUnexpectedEOF},
		"end in mid-row":              {in: "a\t1\nb", want: []string{"a\t1"}, err: io.ErrUnexpectedEOF},
		"nothing":                     {in: "", err: io.ErrUnexpectedEOF},
		"row of more than a chunk":    {in: long + "\nb\n.\n", err: errBadAnswer},
		"the same, cut":               {in: "a\n" + long + "\nb\n.\n", cutLong: true, want: []string{"a", long[:chunkSize], "b"}},
		"the same at the end of rows": {in: long + long + "\n.\n", cutLong: true, want: []string{long[:chunkSize]}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, reader := range map[string]io.Reader{
				"at once": strings.NewReader(tt.in), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.in)),
				"halves": iotest.HalfReader(strings.NewReader(tt.in)), "end with data": iotest.DataErrReader(strings.NewReader(tt.in)),
			} {
				if how == "byte by byte" && (len(tt.in) > 1000 || strings.HasPrefix(name, "after the end")) {
					continue // the latter: it has returned when they come, see server.rest and poller.barrier
				}
				var got []string
				err := readAnswer(reader, tt.cutLong, func(rows []byte) error {
					for len(rows) > 0 {
						var row []byte
						row, rows = nextLine(rows)
						got = append(got, string(row))
					}
					return nil
				})
				if !errors.Is(err, tt.err) {
					t.Errorf("%s: error %v, want %v", how, err, tt.err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" && !errors.Is(tt.err, errBadAnswer) {
					t.Errorf("%s: %s", how, diff)
				}
			}
		})
	}
	refused := errors.New("refused")
	if err := readAnswer(strings.NewReader("a\n.\n"), false, func([]byte) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("an error of the caller: %v", err)
	}
	if err := readAnswer(endless{}, false, func([]byte) error { return nil }); !errors.Is(err, errBadAnswer) {
		t.Errorf("an answer without end: %v", err)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '\n'
	}
	return len(b), nil
}

// However an answer is cut into packets, its rows are the same.
func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte("a\t1\nb\t2\n.\n"), byte(3))
	f.Add([]byte(".\t0\t0\t1\r\n.\r\n"), byte(1))
	f.Add([]byte("a\n.\nb\n.\n"), byte(2))
	f.Fuzz(func(t *testing.T, answer []byte, size byte) {
		read := func(r io.Reader) (rows []byte, err error) {
			err = readAnswer(r, false, func(batch []byte) error {
				rows = append(rows, batch...)
				return nil
			})
			return rows, err
		}
		whole, err := read(bytes.NewReader(answer))
		pieces, errPieces := read(&piecewise{answer, int(size)%7 + 1})
		if err == nil {
			if errPieces != nil || !bytes.Equal(whole, pieces) {
				t.Fatalf("at once %q, in pieces %q and %v", whole, pieces, errPieces)
			}
			rest := answer[len(whole):]
			if !bytes.HasPrefix(answer, whole) || string(rest) != ".\n" && string(rest) != ".\r\n" {
				t.Fatalf("%q of %q", whole, answer)
			}
			return
		}
		// In pieces the end may be seen before what follows it.
		if errPieces == nil && !errors.Is(err, errBadAnswer) {
			t.Fatalf("at once %v, in pieces none", err)
		}
	})
}

// piecewise gives its bytes a few at a time.
type piecewise struct {
	left []byte
	size int
}

func (p *piecewise) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.left[:min(p.size, len(p.left))])
	p.left = p.left[n:]
	return n, nil
}
