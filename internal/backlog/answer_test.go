package backlog

import (
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
				if how == "byte by byte" && strings.HasPrefix(name, "after the end") {
					continue // it has returned when they come: see server.rest and poller.barrier
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
