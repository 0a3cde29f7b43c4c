package frame

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
)

type recorder []string

func (r *recorder) Status(n, d uint64) error {
	*r = append(*r, fmt.Sprintf("status %d/%d", n, d))
	return nil
}
func (r *recorder) Data(p []byte) error    { *r = append(*r, "data "+string(p)); return nil }
func (r *recorder) Warning(p []byte) error { *r = append(*r, "warning "+string(p)); return nil }

func TestReadAnswer(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in       string
		id       uint64
		want     job.Outcome
		progress recorder
		err      error
	}{
		"a result":              {in: `{"type":"complete","id":1,"bytes":3}` + "\nabc", id: 1, want: job.Done([]byte("abc"))},
		"an empty result":       {in: `{"type":"complete","id":1}` + "\n", id: 1, want: job.Done(nil)},
		"unknown fields":        {in: `{"type":"complete","id":1,"took":{"ms":3},"bytes":1}` + "\nx", id: 1, want: job.Done([]byte("x"))},
		"any id":                {in: `{"type":"complete","bytes":1}` + "\nx", want: job.Done([]byte("x"))},
		"a carriage return":     {in: `{"type":"complete","id":1,"bytes":1}` + "\r\nx", id: 1, want: job.Done([]byte("x"))},
		"a failure":             {in: `{"type":"fail","id":1,"bytes":2}` + "\nno", id: 1, want: job.Failf(job.Rejected, "no")},
		"a long failure":        {in: `{"type":"fail","id":1,"bytes":70000}` + "\n" + strings.Repeat("x", 70000), id: 1, want: job.Failf(job.Rejected, "%s", strings.Repeat("x", 64<<10))},
		"progress":              {in: `{"type":"status","id":1,"numerator":18446744073709551615,"denominator":2}` + "\n" + `{"type":"data","id":1,"bytes":1}` + "\n\n" + `{"type":"data","id":1}` + "\n" + `{"type":"warning","id":1,"bytes":1}` + "\nw" + `{"type":"complete","id":1}` + "\n", id: 1, want: job.Done(nil), progress: recorder{"status 18446744073709551615/2", "data \n", "data ", "warning w"}},
		"nothing":               {err: ErrEnded},
		"half a line":           {in: `{"type":"comp`, err: ErrEnded},
		"half a result":         {in: `{"type":"complete","bytes":3}` + "\nab", err: ErrEnded},
		"half a failure":        {in: `{"type":"fail","bytes":3}` + "\nab", err: ErrEnded},
		"half a failure's rest": {in: `{"type":"fail","bytes":70000}` + "\n" + strings.Repeat("x", 66000), err: ErrEnded},
		"half of some data":     {in: `{"type":"data","bytes":3}` + "\nab", err: ErrEnded},
		"no JSON":               {in: "Notice: x\n", err: ErrGarbage},
		"no object":             {in: "[1]\n", err: ErrGarbage},
		"no type":               {in: "{}\n", err: ErrGarbage},
		"a negative size":       {in: `{"type":"complete","bytes":-1}` + "\n", err: ErrGarbage},
		"a fraction":            {in: `{"type":"complete","bytes":1.5}` + "\n", err: ErrGarbage},
		"a status with a body":  {in: `{"type":"status","bytes":1}` + "\nx", err: ErrGarbage},
		"an endless line":       {in: strings.Repeat("x", MaxHeader+1), err: ErrGarbage},
		"another id":            {in: `{"type":"complete","id":2}` + "\n", id: 1, err: ErrGarbage},
		"no id":                 {in: `{"type":"complete"}` + "\n", id: 1, err: ErrGarbage},
		"too much":              {in: `{"type":"complete","bytes":1001}` + "\n", err: spool.ErrTooLarge},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var progress recorder
			got, err := ReadAnswer(bufio.NewReaderSize(iotest.HalfReader(strings.NewReader(tc.in)), MaxHeader), tc.id,
				spool.Limits{Dir: t.TempDir(), Above: 1000, Max: 1000}, &progress)
			if !errors.Is(err, tc.err) {
				t.Fatalf("error %v, want %v", err, tc.err)
			}
			got.ResultSize = 0
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.progress, progress); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzAppendJob checks that what the worker writes is JSON that any language decodes to the same
// values.
func FuzzAppendJob(f *testing.F) {
	f.Add("resize", "H:host:1", "key", int64(3))
	f.Add("a\"b\\c\n\x00\u2028é", "", "\xff\xfe", int64(0))
	f.Fuzz(func(t *testing.T, function, handle, unique string, size int64) {
		line := AppendJob(nil, 7, &job.Job{Function: function, Handle: handle, Unique: unique, Size: size, Attempt: 2})
		if bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Fatalf("not one line: %q", line)
		}
		var got struct {
			Type, Function, Handle, Unique string
			ID                             uint64
			Bytes                          int64
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		valid := func(s string) string { return string([]rune(s)) } // as range over s sees it
		if got.Type != "job" || got.ID != 7 || got.Bytes != size || got.Function != valid(function) ||
			got.Handle != valid(handle) || got.Unique != valid(unique) {
			t.Errorf("%q becomes %+v", line, got)
		}
		var hello struct{ Functions []string }
		if err := json.Unmarshal(AppendHello(nil, []string{function, unique}), &hello); err != nil ||
			hello.Functions[0] != valid(function) {
			t.Errorf("hello: %v, %v", hello, err)
		}
	})
}

// FuzzReadAnswer checks that for any input the answer is an outcome or an error, memory stays
// within the limits, and nothing is read past the end.
func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte(`{"type":"complete","id":1,"bytes":3}` + "\nabcREST"))
	f.Add([]byte(`{"type":"status","id":1,"numerator":1,"denominator":2}` + "\n" + `{"type":"fail","id":1,"bytes":1}` + "\nx"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		br := bufio.NewReaderSize(bytes.NewReader(in), MaxHeader)
		var progress recorder
		o, err := ReadAnswer(br, 1, spool.Limits{Dir: "/nonexistent", Above: 1 << 16, Max: 1 << 16}, &progress)
		if err != nil {
			if o.Result != nil || o.ResultFile != nil {
				t.Errorf("an error and a result: %+v, %v", o, err)
			}
			return
		}
		if o.ResultSize != int64(len(o.Result)) {
			t.Errorf("%d bytes are said to be %d", len(o.Result), o.ResultSize)
		}
		rest := make([]byte, len(in)+1)
		n, _ := br.Read(rest)
		if body := in[:len(in)-n]; o.Kind == job.Completed && !bytes.HasSuffix(body, o.Result) {
			t.Errorf("the result %q is not the end of what was read, %q", o.Result, body)
		}
	})
}
