package telemetry

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var full = Report{
	UID: UID([]byte("0a1b2c3d")), Start: 1_764_000_000_000, Full: true, Busy: 1, Capacity: 2, HasFunction: true,
	Function: 0xdeadbeef,
	Counters: Counters{OK: 12, Failed: 3, Requeued: 4, OKMillis: 5600, BusyMillis: 7800},
	Pod:      []byte("thumbnails-5d8f-x2x4k"),
}

func TestAppend(t *testing.T) {
	t.Parallel()
	huge := Report{
		UID: full.UID, Start: 1 << 62, Full: true, Busy: 1 << 30, Capacity: 1 << 30, HasFunction: true, Function: 1,
		Counters: Counters{
			OK: 1 << 62, Failed: 1 << 62, Requeued: 1 << 62, OKMillis: 1 << 62, BusyMillis: 1 << 62,
			DeadLettered: 1 << 62, Retried: 1 << 62,
		},
		Pod: []byte("p"), Trouble: TroubleStart,
	}
	longName := full
	longName.Pod = []byte(strings.Repeat("name-", 40))
	badName := full
	badName.Pod = []byte("a b")
	retries := full
	retries.Trouble, retries.Counters.DeadLettered, retries.Counters.Retried = TroubleFailing, 2, 4
	tooMany := Report{
		UID: full.UID, Start: 7, Full: true, Capacity: 1,
		Counters: Counters{Failed: 1, DeadLettered: 9, Requeued: 2, Retried: 9},
	}
	tests := map[string]struct {
		in   Report
		want string
	}{
		"full": {
			full,
			"gwp1;u=0a1b2c3d;s=1764000000000;b=1;c=2;f=deadbeef;n=12;e=3;r=4;t=5600;w=7800;p=thumbnails-5d8f-x2x4k",
		},
		"brief": {Report{UID: full.UID, Start: 7}, "gwp1;u=0a1b2c3d;s=7"},
		"retries and dead letters": {
			retries, "gwp1;u=0a1b2c3d;s=1764000000000;b=1;c=2;f=deadbeef;n=12;e=3;r=4;t=5600;w=7800;x=f;d=2;y=4;p=thumbnails-5d8f-x2x4k",
		},
		"parts are no larger than their sums": {
			tooMany, "gwp1;u=0a1b2c3d;s=7;b=0;c=1;n=0;e=1;r=2;t=0;w=0;d=1;y=2",
		},
		"bounds, no room": {
			huge,
			"gwp1;u=0a1b2c3d;s=9999999999999;b=9999;c=9999;f=00000001;n=9999999999;e=999999999;r=99999999;t=999999999999;w=999999999999;x=s",
		},
		"name is cut": {
			longName, "gwp1;u=0a1b2c3d;s=1764000000000;b=1;c=2;f=deadbeef;n=12;e=3;r=4;t=5600;w=7800;p=" + longNamePart,
		},
		"illegal name": {badName, "gwp1;u=0a1b2c3d;s=1764000000000;b=1;c=2;f=deadbeef;n=12;e=3;r=4;t=5600;w=7800"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := string(tt.in.Append([]byte("x")))[1:]
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if len(got) > MaxLen {
				t.Errorf("%d bytes", len(got))
			}
			if _, err := Parse([]byte(got)); err != nil {
				t.Errorf("Parse of it: %v", err)
			}
		})
	}
}

const longNamePart = "name-name-name-name-name-name-name-name-name-na"

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want Report
		err  error
	}{
		"full":  {in: string(full.Append(nil)), want: full},
		"brief": {in: "gwp1;u=0a1b2c3d;s=7", want: Report{UID: full.UID, Start: 7}},
		"any order": {
			in: "gwp1;c=2;s=7;b=1;u=0a1b2c3d", want: Report{UID: full.UID, Start: 7, Full: true, Busy: 1, Capacity: 2},
		},
		"trouble": {
			in:   "gwp1;u=0a1b2c3d;s=7;b=0;c=1;x=u",
			want: Report{UID: full.UID, Start: 7, Full: true, Capacity: 1, Trouble: TroubleUnreachable},
		},
		"trouble of the future": {
			in:   "gwp1;u=0a1b2c3d;s=7;b=0;c=1;x=q",
			want: Report{UID: full.UID, Start: 7, Full: true, Capacity: 1, Trouble: 'q'},
		},
		"retries and dead letters": {
			in: "gwp1;u=0a1b2c3d;s=7;b=0;c=1;d=2;y=3;e=2;r=9",
			want: Report{
				UID: full.UID, Start: 7, Full: true, Capacity: 1,
				Counters: Counters{Failed: 2, DeadLettered: 2, Requeued: 9, Retried: 3},
			},
		},
		"more dead letters than failures": {in: "gwp1;u=0a1b2c3d;s=7;b=0;c=1;e=1;d=2", err: ErrMalformed},
		"more retries than requeues":      {in: "gwp1;u=0a1b2c3d;s=7;b=0;c=1;y=1", err: ErrMalformed},
		"no trouble in words":             {in: "gwp1;u=0a1b2c3d;s=7;b=0;c=1;x=start", err: ErrMalformed},
		"field of the future":             {in: "gwp1;u=0a1b2c3d;s=7;z=zz%", want: Report{UID: full.UID, Start: 7}},
		"default id":                      {in: "-", err: ErrForeign},
		"empty":                           {in: "", err: ErrForeign},
		"another version":                 {in: "gwp2;u=0a1b2c3d;s=7", err: ErrForeign},
		"nothing but prefix":              {in: "gwp1;", err: ErrMalformed},
		"no uid":                          {in: "gwp1;s=7", err: ErrMalformed},
		"short uid":                       {in: "gwp1;u=0a1b2c3;s=7", err: ErrMalformed},
		"uid of other bytes":              {in: "gwp1;u=0a1b2c3/;s=7", err: ErrMalformed},
		"no start":                        {in: "gwp1;u=0a1b2c3d", err: ErrMalformed},
		"start zero":                      {in: "gwp1;u=0a1b2c3d;s=0", err: ErrMalformed},
		"negative":                        {in: "gwp1;u=0a1b2c3d;s=7;b=-1;c=1", err: ErrMalformed},
		"sign":                            {in: "gwp1;u=0a1b2c3d;s=+7", err: ErrMalformed},
		"empty number":                    {in: "gwp1;u=0a1b2c3d;s=", err: ErrMalformed},
		"too many digits":                 {in: "gwp1;u=0a1b2c3d;s=99999999999999", err: ErrMalformed},
		"overflowing":                     {in: "gwp1;u=0a1b2c3d;s=99999999999999999999999999", err: ErrMalformed},
		"beyond bound":                    {in: "gwp1;u=0a1b2c3d;s=7;b=1;c=10000", err: ErrMalformed},
		"busier than it can be":           {in: "gwp1;u=0a1b2c3d;s=7;b=2;c=1", err: ErrMalformed},
		"capacity zero":                   {in: "gwp1;u=0a1b2c3d;s=7;b=0;c=0", err: ErrMalformed},
		"busy alone":                      {in: "gwp1;u=0a1b2c3d;s=7;b=0", err: ErrMalformed},
		"counters alone":                  {in: "gwp1;u=0a1b2c3d;s=7;n=1", err: ErrMalformed},
		"ok time beyond busy":             {in: "gwp1;u=0a1b2c3d;s=7;b=0;c=1;t=2;w=1", err: ErrMalformed},
		"doubled":                         {in: "gwp1;u=0a1b2c3d;s=7;b=0;c=1;n=1;n=2", err: ErrMalformed},
		"hash in capitals":                {in: "gwp1;u=0a1b2c3d;s=7;b=0;c=1;f=DEADBEEF", err: ErrMalformed},
		"short hash":                      {in: "gwp1;u=0a1b2c3d;s=7;b=0;c=1;f=dead", err: ErrMalformed},
		"after the pod":                   {in: "gwp1;u=0a1b2c3d;s=7;b=0;c=1;p=a;n=1", err: ErrMalformed},
		"illegal pod":                     {in: "gwp1;u=0a1b2c3d;s=7;b=0;c=1;p=A", err: ErrMalformed},
		"white space":                     {in: "gwp1;u=0a1b2c3d;s=7; b=0;c=1", err: ErrMalformed},
		"no equals sign":                  {in: "gwp1;u=0a1b2c3d;s=7;b0;c=1", err: ErrMalformed},
		"too long":                        {in: string(full.Append(nil)) + strings.Repeat("x", 100), err: ErrMalformed},
		"may have been cut": {
			in: "gwp1;u=0a1b2c3d;s=1764000000000;b=1;c=2;" + strings.Repeat("z=1;", 21) + "n=1", err: ErrMalformed,
		},
		"ends with a separator": {in: "gwp1;u=0a1b2c3d;s=7;", want: Report{UID: full.UID, Start: 7}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse([]byte(tt.in))
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if n := len(tests["may have been cut"].in); n != MaxLen {
		t.Errorf("the cut id is %d bytes, so it tests nothing", n)
	}
}

func TestParseUID(t *testing.T) {
	t.Parallel()
	if u, err := ParseUID("0a1b2c3d-4e5f-6789-abcd-ef0123456789"); err != nil || u.String() != "0a1b2c3d" {
		t.Errorf("got %v, %v", u, err)
	}
	for _, bad := range []string{"", "0a1b2c3", "0a1b;c3d-4e5f"} {
		if _, err := ParseUID(bad); err == nil {
			t.Errorf("ParseUID(%q): no error", bad)
		}
	}
}

// The values in docs/telemetry.md with which other languages can check theirs.
func TestFunctionHash(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]uint32{"": 0, "resize": 0x707e0e22, "a b": 0x806c5cd3} {
		if got := FunctionHash(name); got != want {
			t.Errorf("FunctionHash(%q) = %08x, want %08x", name, got, want)
		}
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	id := full.Append(nil)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Parse(id); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAnyReportSurvives(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	n := func(limit int64) int64 { return rng.Int64N(rng.Int64N(limit) + 1) } // small and large ones alike
	for range 5000 {
		in := full
		in.Start = 1 + n(maxStart)
		in.Capacity = 1 + int(n(MaxSlots-1))
		in.Busy = int(n(int64(in.Capacity)))
		in.Function = rng.Uint32()
		in.Counters = Counters{OK: n(maxOK), Failed: n(maxFailed), Requeued: n(maxRequeued), BusyMillis: n(maxMillis)}
		in.Counters.OKMillis = n(in.Counters.BusyMillis + 1)
		in.Counters.DeadLettered, in.Counters.Retried = n(in.Counters.Failed+1), n(in.Counters.Requeued+1)
		if !in.fits() {
			in.Counters.DeadLettered, in.Counters.Retried = 0, 0
		}
		id := in.Append(nil)
		got, err := Parse(id)
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		if !bytes.HasPrefix(in.Pod, got.Pod) {
			t.Fatalf("%s: pod %q", id, got.Pod)
		}
		got.Pod = in.Pod
		if diff := cmp.Diff(in, got); diff != "" {
			t.Fatalf("%s: %s", id, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(full.Append(nil))
	f.Add([]byte("gwp1;u=0a1b2c3d;s=7"))
	f.Add([]byte("gwp1;u=0a1b2c3d;s=7;b=0;c=1;z=~;p="))
	f.Add([]byte("gwp1;u=0a1b2c3d;s=7;b=0;c=1;e=2;r=3;x=f;d=1;y=2"))
	f.Fuzz(func(t *testing.T, id []byte) {
		r, err := Parse(id)
		if err != nil {
			if diff := cmp.Diff(Report{}, r); diff != "" {
				t.Fatalf("a report beside an error: %s", diff)
			}
			return
		}
		again, err := Parse(r.Append(nil))
		if err != nil {
			t.Fatalf("%q: %v", r.Append(nil), err)
		}
		if !bytes.HasPrefix(r.Pod, again.Pod) {
			t.Fatalf("pod %q became %q", r.Pod, again.Pod)
		}
		r.Pod, again.Pod = nil, nil
		if !r.fits() { // an ID may leave out a counter that is 0
			r.Counters.DeadLettered, r.Counters.Retried = 0, 0
		}
		if !r.Full {
			r.Counters, r.HasFunction, r.Function, r.Trouble = Counters{}, false, 0, 0
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	id := full.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(id); err != nil {
			b.Fatal(err)
		}
	}
}

func at(ms int64) time.Time { return time.UnixMilli(ms) }
