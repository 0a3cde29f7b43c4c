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
	const end = "\x00RES-end"
	long := strings.Repeat("x", longChunkSize+10)
	tests := map[string]struct {
		in   string
		want []string
		err  error
	}{
		"empty":                     {in: ".\n" + end, want: []string{"."}},
		"empty, CRLF":               {in: ".\r\n" + end, want: []string{"."}},
		"rows":                      {in: "a\t1\nb\t2\n.\n" + end, want: []string{"a\t1", "b\t2", "."}},
		"rows, CRLF":                {in: "a\t1\r\nb\t2\r\n.\r\n" + end, want: []string{"a\t1", "b\t2", "."}},
		"a function called .":       {in: ".\t0\t0\t1\n.\n" + end, want: []string{".\t0\t0\t1", "."}},
		"a name that ends with .":   {in: "a.\t0\t0\t1\n.\n" + end, want: []string{"a.\t0\t0\t1", "."}},
		"empty row":                 {in: "\n.\n" + end, want: []string{"", "."}},
		"what looks like the end":   {in: ".\na\t1\n.\n" + end, want: []string{".", "a\t1", "."}},
		"it and half the real end":  {in: ".\n" + end[:4] + "\n.\n" + end, want: []string{".", end[:4], "."}},
		"after the end, half a row": {in: "a\t1\n.\n" + end + "b", err: errBadAnswer},
		"the end without a dot":     {in: "a\t1\n" + end, err: errBadAnswer},
		"no end":                    {in: "a\t1\n.\n", want: []string{"a\t1", "."}, err: io.ErrUnexpectedEOF},
		"end in mid-row":            {in: "a\t1\nb", want: []string{"a\t1"}, err: io.ErrUnexpectedEOF},
		"nothing":                   {in: "", err: io.ErrUnexpectedEOF},
		"row of more than a chunk": {
			in: "a\n" + long + "\nb\n.\n" + end, want: []string{"a", long[:longChunkSize], "b", "."},
		},
		"the same at the end of rows": {in: long + long + "\n.\n" + end, want: []string{long[:longChunkSize], "."}},
		"the end in a long row":       {in: long + end + "\n.\n" + end, want: []string{long[:longChunkSize], "."}},
		"a long row that ends in .": {
			in: long[:longChunkSize] + ".\n" + end, want: []string{long[:longChunkSize]}, err: errBadAnswer,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, reader := range map[string]io.Reader{
				"at once": strings.NewReader(tt.in), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.in)),
				"halves":        iotest.HalfReader(strings.NewReader(tt.in)),
				"end with data": iotest.DataErrReader(strings.NewReader(tt.in)),
			} {
				if how != "at once" && strings.HasPrefix(name, "after the end") {
					continue // it may have returned before they arrive, see server.waitIdle
				}
				var got []string
				err := readAnswer(reader, []byte(end), maxAnswer, func(rows []byte) {
					for len(rows) > 0 {
						var row []byte
						row, rows = nextLine(rows)
						got = append(got, string(row))
					}
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
	if err := readAnswer(endless{}, []byte(end), 1<<20, func([]byte) {}); !errors.Is(err, errBadAnswer) {
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

// However an answer is split into packets, and whatever it contains, its rows are the same.
func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte("a\t1\nb\t2\n.\n"), byte(3))
	f.Add([]byte(".\t0\t0\t1\r\n.\r\n"), byte(1))
	f.Add([]byte("a\n.\nb\n.\n"), byte(2))
	f.Fuzz(func(t *testing.T, answer []byte, size byte) {
		end := []byte("\x00RES-nobody can know this")
		if bytes.Contains(answer, end) {
			return
		}
		read := func(r io.Reader) (rows []byte, err error) {
			err = readAnswer(r, end, maxAnswer, func(batch []byte) { rows = append(rows, batch...) })
			return rows, err
		}
		marked := append(bytes.Clone(answer), end...)
		whole, err := read(bytes.NewReader(marked))
		pieces, errPieces := read(&piecewise{marked, int(size)%7 + 1})
		if (err == nil) != (errPieces == nil) || !bytes.Equal(whole, pieces) {
			t.Fatalf("at once %q and %v, in pieces %q and %v", whole, err, pieces, errPieces)
		}
		ends := bytes.HasSuffix(answer, []byte("\n.\n")) || bytes.HasSuffix(answer, []byte("\n.\r\n")) ||
			string(answer) == ".\n" || string(answer) == ".\r\n"
		if ends != (err == nil) {
			t.Fatalf("%q: %v", answer, err)
		}
		if err == nil && len(answer) < longChunkSize && !bytes.Equal(whole, answer) {
			t.Fatalf("%q of %q", whole, answer)
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

// sized is a reader that records the size of its first read.
type sized struct {
	io.Reader
	first int
}

func (s *sized) Read(p []byte) (int, error) {
	if s.first == 0 {
		s.first = len(p)
	}
	return s.Reader.Read(p)
}

// Until a job server answers, little memory is allocated for it.
func TestAnswerThatIsAwaited(t *testing.T) {
	t.Parallel()
	end := []byte("\x00RES the end")
	long := strings.Repeat("f\t1\t0\t0\n", 1000) + ".\n"
	for name, text := range map[string]string{"short": ".\n", "long": long} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &sized{Reader: strings.NewReader(text + string(end))}
			var got strings.Builder
			if err := readAnswer(r, end, 1<<20, func(rows []byte) { got.Write(rows) }); err != nil ||
				got.String() != text {
				t.Errorf("%d bytes of %d: %v", got.Len(), len(text), err)
			}
			if r.first > 512 {
				t.Errorf("%d bytes wait for an answer, want 512 at most", r.first)
			}
		})
	}
	if err := readAnswer(
		iotest.ErrReader(io.ErrClosedPipe), end, 1<<20, func([]byte) {},
	); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v, want the reader's error", err)
	}
	if err := readAnswer(
		iotest.DataErrReader(strings.NewReader(".\n"+string(end))), end, 1<<20, func([]byte) {},
	); err != nil {
		t.Errorf("an end that comes with the last bytes: %v", err)
	}
}
