package telemetry

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const podUID = "0a1b2c3d-4e5f-6789-abcd-ef0123456789"

func newReporter(t *testing.T, capacity int, functions ...string) *Reporter {
	t.Helper()
	r, err := NewReporter(podUID, "pod-1", at(1000), capacity, functions)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func next(t *testing.T, r *Reporter, ms int64) Report {
	t.Helper()
	id, _ := r.Next(at(ms))
	rep, err := Parse([]byte(id))
	if err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	return rep
}

func TestReporterCounts(t *testing.T) {
	t.Parallel()
	r := newReporter(t, 4, "resize")
	r.Start("resize", at(2000))
	r.Start("resize", at(2500))
	r.Start("resize", at(2500))
	r.Start("resize", at(3000))
	r.End("resize", at(2000), at(3000), OK)
	r.End("resize", at(2500), at(2600), Failed)
	r.End("resize", at(2500), at(2700), Requeued)
	got := next(t, r, 3500)
	want := Report{
		UID: UID([]byte("0a1b2c3d")), Start: 1000, Full: true, Busy: 1, Capacity: 4, HasFunction: true,
		Function: FunctionHash("resize"),
		Counters: Counters{OK: 1, Failed: 1, Requeued: 1, OKMillis: 1000, BusyMillis: 1000 + 100 + 200 + 500},
		Pod:      []byte("pod-1"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if r.Busy() != 1 {
		t.Errorf("busy %d", r.Busy())
	}
	if got, want := r.Brief(), "gwp1;u=0a1b2c3d;s=1000"; got != want {
		t.Errorf("brief id %s", got)
	}
}

func TestReporterTellsOfAllFunctions(t *testing.T) {
	t.Parallel()
	r := newReporter(t, 1, "a", "b", "c", "a")
	seen := map[uint32]bool{}
	for i, more := 0, true; more; i++ {
		if i == 3 {
			t.Fatal("three functions took more than three ids")
		}
		var id string
		id, more = r.Next(at(2000))
		rep, err := Parse([]byte(id))
		if err != nil {
			t.Fatal(err)
		}
		seen[rep.Function] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d functions told of", len(seen))
	}
	// With news of one function, the next ID is about it.
	for range 20 {
		r.Start("b", at(2000))
		r.End("b", at(2000), at(2001), OK)
		if rep := next(t, r, 3000); rep.Function != FunctionHash("b") {
			t.Fatalf("told of %08x", rep.Function)
		}
	}
	// Without news, all are reported in turn.
	clear(seen)
	for range 1000 {
		seen[next(t, r, 3000).Function] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d functions told of at rest", len(seen))
	}
}

func TestReporterStartsANewLifeAtABound(t *testing.T) {
	t.Parallel()
	r := newReporter(t, 1, "a", "b")
	r.functions[0].ended.OK = maxOK
	r.Start("b", at(2000))
	r.Start("a", at(2000))
	r.End("a", at(2000), at(2001), OK)
	for range 2 {
		rep := next(t, r, 5000)
		if rep.Start != 5000 || rep.Counters != (Counters{}) {
			t.Errorf("after the bound: %+v", rep)
		}
	}
	r.End("b", at(2000), at(5300), OK)
	rep := next(t, r, 6000)
	for rep.Function != FunctionHash("b") {
		rep = next(t, r, 6000)
	}
	if want := (Counters{OK: 1, OKMillis: 300, BusyMillis: 300}); rep.Counters != want || rep.Start != 5000 {
		t.Errorf("the job that ran over the change: %+v", rep)
	}
}

func TestReporterCountsRetriesAndDeadLetters(t *testing.T) {
	t.Parallel()
	r := newReporter(t, 1, "resize")
	for _, o := range []Outcome{Retried, Retried, Requeued, DeadLettered, Failed, OK} {
		r.Start("resize", at(2000))
		r.End("resize", at(2000), at(2010), o)
	}
	want := Counters{
		OK: 1, Failed: 2, Requeued: 3, DeadLettered: 1, Retried: 2, OKMillis: 10, BusyMillis: 60,
	}
	got := next(t, r, 3000).Counters
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Ended() != 5 {
		t.Errorf("%d jobs left the queue, want all but the one that was requeued unfinished", got.Ended())
	}
}

// TestReporterStartsANewLifeForRoom: counters that no longer fit cause a reset, since one that is
// left out and appears again would be counted twice.
func TestReporterStartsANewLifeForRoom(t *testing.T) {
	t.Parallel()
	r := newReporter(t, 1, "a", "b")
	r.functions[0].ended = Counters{
		OK: maxOK - 1, Failed: maxFailed - 1, Requeued: maxRequeued - 1,
		OKMillis: maxMillis - 1, BusyMillis: maxMillis - 1,
		DeadLettered: maxFailed - 1, Retried: 9_999,
	}
	if rep := next(t, r, 4000); rep.Start != 1000 {
		t.Fatalf("126 bytes of figures have room: %+v", rep)
	}
	r.Start("a", at(4000))
	r.End("a", at(4000), at(4000), Retried)
	if rep := next(t, r, 5000); rep.Start != 5000 || rep.Counters != (Counters{}) {
		t.Errorf("a further digit has none: %+v", rep)
	}
}

func TestReporterClockGoesBack(t *testing.T) {
	t.Parallel()
	r := newReporter(t, 1, "a")
	r.Start("a", at(900)) // before the process's own start
	r.End("a", at(900), at(800), OK)
	if rep := next(t, r, 700); rep.Counters != (Counters{OK: 1}) {
		t.Errorf("%+v", rep.Counters)
	}
}

func TestReporterRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		uid       string
		capacity  int
		functions []string
	}{
		"uid":         {"x", 1, []string{"a"}},
		"capacity":    {podUID, 0, []string{"a"}},
		"capacity up": {podUID, MaxSlots + 1, []string{"a"}},
		"functions":   {podUID, 1, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := NewReporter(tt.uid, "p", at(1), tt.capacity, tt.functions); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestReporterPanicsOnAnUnknownFunction(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	newReporter(t, 1, "a").Start("b", at(1))
}

func TestTroubleIsNews(t *testing.T) {
	t.Parallel()
	r, err := NewReporter("0a1b2c3d", "pod", at(1000), 1, []string{"f"})
	if err != nil {
		t.Fatal(err)
	}
	r.Next(at(2000))
	for _, letter := range []byte{TroubleStart, 0} {
		r.SetTrouble("f", letter)
		id, _ := r.Next(at(3000))
		if got, err := Parse([]byte(id)); err != nil || got.Trouble != letter || string(got.Pod) != "pod" {
			t.Errorf("%s: trouble %q, pod %q, %v", id, got.Trouble, got.Pod, err)
		}
	}
}
