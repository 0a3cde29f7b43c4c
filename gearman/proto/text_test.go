package proto

import (
	"errors"
	"slices"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
)

func TestStatusRows(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		want StatusRow
		bad  bool
	}{
		"resize\t5\t1\t2": {
			want: StatusRow{Function: []byte("resize"), Total: 5, Running: 1, Workers: 2},
		},
		"tab\tname\t0\t0\t1": {want: StatusRow{Function: []byte("tab\tname"), Workers: 1}},
		"name with space\t0\t-1\t1": {
			want: StatusRow{Function: []byte("name with space"), Running: -1, Workers: 1},
		},
		"\t0\t0\t1":                     {want: StatusRow{Function: []byte{}, Workers: 1}},
		"\xff\xfe\x01\t0\t0\t1":         {want: StatusRow{Function: []byte("\xff\xfe\x01"), Workers: 1}},
		".\t0\t0\t0":                    {want: StatusRow{Function: []byte(".")}},
		"resize\t5\t1":                  {bad: true},
		"resize\t5\t1\tx":               {bad: true},
		"resize\t-5\t1\t1":              {bad: true},
		"resize\t5\t1\t":                {bad: true},
		"ev":                            {bad: true},
		"":                              {bad: true},
		"f\t1\t1\t99999999999999999999": {bad: true},
	}
	for line, tt := range tests {
		got, err := ParseStatusRow([]byte(line))
		if errors.Is(err, ErrRow) != tt.bad {
			t.Errorf("%q: error %v", line, err)
		}
		if diff := check.Diff(tt.want, got); diff != "" {
			t.Errorf("%q:\n%s", line, diff)
		}
	}
}

func TestOtherRows(t *testing.T) {
	t.Parallel()
	prio, err := ParsePriorityRow([]byte("al\tpha\t1\t2\t3\t4"))
	if diff := check.Diff(
		PriorityRow{Function: []byte("al\tpha"), High: 1, Normal: 2, Low: 3, Workers: 4}, prio,
	); diff != "" || err != nil {
		t.Error(err, diff)
	}
	job, err := ParseJobRow([]byte("H:vm:2\t3\t1\t0"))
	if diff := check.Diff(JobRow{Handle: []byte("H:vm:2"), Retries: 3, Ignored: true}, job); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for _, line := range []string{"", "alpha\t1\t2\t3", "alpha\t1\t2\t3\t-1", "a\tb\tc\td\te"} {
		if _, err := ParsePriorityRow([]byte(line)); !errors.Is(err, ErrRow) {
			t.Errorf("prioritystatus %q: %v", line, err)
		}
	}
	for _, line := range []string{"", "H:vm:2\t3\t1", "\t0\t0\t0", "H\tx\t0\t0"} {
		if _, err := ParseJobRow([]byte(line)); !errors.Is(err, ErrRow) {
			t.Errorf("show jobs %q: %v", line, err)
		}
	}
}

func TestWorkerRows(t *testing.T) {
	t.Parallel()
	type row struct {
		FD        int64
		IP, ID    string
		Functions []string
	}
	tests := map[string]struct {
		want row
		bad  bool
	}{
		"38 127.0.0.1 - :":              {want: row{38, "127.0.0.1", "-", nil}},
		"6 127.0.0.1 - : ":              {want: row{6, "127.0.0.1", "-", nil}}, // Perl's server
		"38 ::1 gwp1;u=1 : f g f":       {want: row{38, "::1", "gwp1;u=1", []string{"f", "g", "f"}}},
		"38 127.0.0.1 my worker id : f": {want: row{38, "127.0.0.1", "my worker id", []string{"f"}}},
		"38 127.0.0.1 a :b : f":         {want: row{38, "127.0.0.1", "a :b", []string{"f"}}},
		"38 127.0.0.1 id : : :f":        {want: row{38, "127.0.0.1", "id", []string{":", ":f"}}},
		"-1 127.0.0.1 - :":              {want: row{-1, "127.0.0.1", "-", nil}},
		"c :":                           {bad: true},
		"x 127.0.0.1 - : f":             {bad: true},
		"38 127.0.0.1 a":                {bad: true},
		"38  - : f":                     {bad: true},
		"38":                            {bad: true},
		"":                              {bad: true},
	}
	for line, tt := range tests {
		got, err := ParseWorkerRow([]byte(line))
		if errors.Is(err, ErrRow) != tt.bad {
			t.Errorf("%q: error %v", line, err)
			continue
		}
		if tt.bad {
			continue
		}
		r := row{FD: got.FD, IP: string(got.IP), ID: string(got.ID)}
		for f := range got.Functions {
			r.Functions = append(r.Functions, string(f))
		}
		if diff := check.Diff(tt.want, r); diff != "" {
			t.Errorf("%q:\n%s", line, diff)
		}
	}
	got, _ := ParseWorkerRow([]byte("1 h - : a b c"))
	for f := range got.Functions {
		if !slices.Equal(f, []byte("a")) {
			t.Errorf("first function %q", f)
		}
		break
	}
}

func TestReplies(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		want Reply
		ok   bool
	}{
		"OK":              {want: Reply{OK: true}, ok: true},
		"OK 1.1.20+ds":    {want: Reply{OK: true, Value: "1.1.20+ds"}, ok: true},
		"ERR UNKNOWN_JOB": {want: Reply{Err: &ServerError{Code: "UNKNOWN_JOB"}}, ok: true},
		"ERR UNKNOWN_COMMAND Unknown+server+commandfoo": {
			want: Reply{Err: &ServerError{Code: "UNKNOWN_COMMAND", Text: "Unknown server commandfoo"}}, ok: true,
		},
		"v1.130.1": {},
		"":         {},
	}
	for line, tt := range tests {
		got, ok := ParseReply([]byte(line))
		if diff := check.Diff(tt.want, got); diff != "" || ok != tt.ok {
			t.Errorf("%q: ok %v\n%s", line, ok, diff)
		}
	}
}
