package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// always orders so many replicas at once, and others at the times given.
type always struct {
	n    int32
	then map[float64]int32
}

func (f *always) Name() string     { return "always" }
func (f *always) start(*Simulator) {}
func (f *always) step(s *Simulator) float64 {
	n := f.n
	for at, m := range f.then {
		if s.now >= at {
			n = m
		}
	}
	s.setReplicas(n)
	return s.now + 5
}

func ours(target time.Duration) *Ours {
	return &Ours{Label: OurName, Policy: scaling.Policy{TargetWait: target}}
}

// TestErlangC compares the waits of a pool that never changes with the textbook's, for Poisson arrivals and exponential job times.
func TestErlangC(t *testing.T) {
	t.Parallel()
	const slots, load, seconds, late = 5, 4., 2., 3.
	rng := rand.New(rand.NewPCG(1, 1))
	w := &Workload{Name: "M/M/5", Functions: []string{"f"}, Servers: 1, Concurrency: 1}
	w.poisson(rng, 30, 150000, load/seconds, nil, exponential(seconds), 0)
	var s Simulator
	r := s.Run(w, &always{n: slots}, Config{Targets: []float64{0, late}})
	blocked, sum := 1., 1.
	for k := 1.; k < slots; k++ {
		blocked *= load / k
		sum += blocked
	}
	blocked *= load / slots * slots / (slots - load)
	waits := blocked / (sum + blocked)
	longer := waits * math.Exp(-(slots-load)*late/seconds)
	if got := r.MissPercent(0) / 100; math.Abs(got-waits) > 0.02 {
		t.Errorf("a job waits with probability %.3f, Erlang C says %.3f", got, waits)
	}
	if got := r.MissPercent(1) / 100; math.Abs(got-longer) > 0.02 {
		t.Errorf("a job waits for over %v s with probability %.3f, Erlang C says %.3f", late, got, longer)
	}
}

// TestEveryJobIsBegunAndEnds plays each workload under each law, and the same again.
func TestEveryJobIsBegunAndEnds(t *testing.T) {
	t.Parallel()
	var s Simulator
	for _, m := range Makers() {
		w := m.New(3)
		if len(w.Jobs) > 50000 {
			w.Jobs = w.Jobs[:50000]
		}
		for _, l := range []Law{ours(30 * time.Second), KEDADefault(), KEDATuned(5), &KPA{}} {
			c := Config{Targets: []float64{30}, Seed: 3}
			r := s.Run(w, l, c)
			begun := 0
			for _, n := range r.waits {
				begun += int(n)
			}
			if begun != len(w.Jobs) || s.left != 0 || s.queued != 0 || s.runs != 0 {
				t.Errorf("%s under %s: of %d jobs %d began, %d have not ended, %d wait, %d run", m.Name, l.Name(), len(w.Jobs), begun, s.left, s.queued, s.runs)
			}
			work := 0.
			for i := range w.Jobs {
				work += float64(w.Jobs[i].Seconds)
			}
			if len(w.Foreign) == 0 && r.WorkerHours < work/3600/float64(w.Concurrency) {
				t.Errorf("%s under %s: %.2f worker-hours for %.2f hours of work", m.Name, l.Name(), r.WorkerHours, work/3600)
			}
			if diff := cmp.Diff(r, s.Run(w, l, c), cmp.AllowUnexported(Result{}), cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("%s under %s differs the second time (-first +second):\n%s", m.Name, l.Name(), diff)
			}
		}
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	w := &Workload{Functions: []string{"f"}, Servers: 1, Concurrency: 2, Horizon: 400}
	for range 4 {
		w.add(20, 100, 0)
	}
	stop := &always{n: 2, then: map[float64]int32{50: 1, 300: 1}}
	var s Simulator
	r := s.Run(w, stop, Config{Drain: 200, Targets: []float64{30}})
	if r.Drained != 1 || r.Interrupted != 0 || r.MissPercent(0) != 0 {
		t.Errorf("time enough to drain: %d pods drained, %d jobs interrupted, %.0f%% late; want 1, 0, 0%%", r.Drained, r.Interrupted, r.MissPercent(0))
	}
	r = s.Run(w, stop, Config{Drain: 10, Targets: []float64{30}})
	if r.Drained != 1 || r.Interrupted != 2 {
		t.Errorf("too little time to drain: %d pods drained, %d jobs interrupted; want 1 and 2", r.Drained, r.Interrupted)
	}
}

func TestVictimsOfADeployment(t *testing.T) {
	t.Parallel()
	w := &Workload{Functions: []string{"f"}, Servers: 1, Concurrency: 1}
	var s Simulator
	s.reset(w, &always{}, Config{}.withDefaults())
	s.spec = 4
	s.reconcile()
	for i := range s.pods[:3] {
		s.pods[i].state = working
	}
	s.pods[0].marked = true
	gone := func(n int32) (who []int32) {
		s.spec = n
		s.reconcile()
		for i := range s.pods {
			if s.pods[i].state == gone {
				who = append(who, int32(i))
			}
		}
		return who
	}
	if diff := cmp.Diff([]int32{3}, gone(3)); diff != "" {
		t.Errorf("first the pod that isn't ready (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int32{0, 3}, gone(2)); diff != "" {
		t.Errorf("then the marked one (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int32{0, 2, 3}, gone(1)); diff != "" {
		t.Errorf("then the youngest (-want +got):\n%s", diff)
	}
}

// TestKEDA gives KEDA as many long jobs as its pods can work on at once, and holds it to the documented steps.
func TestKEDA(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		law  *KEDA
		want map[float64]int // replicas at a time
	}{
		"defaults: 4 pods or double within 15 s, to zero after 5 min": {
			law:  KEDADefault(),
			want: map[float64]int{90: 0, 126: 1, 141: 5, 156: 10, 171: 20, 186: 40, 1120: 40, 1400: 40, 1550: 0},
		},
		"tuned: tenfold, to zero after a minute": {
			law:  KEDATuned(1),
			want: map[float64]int{90: 0, 106: 1, 111: 11, 116: 11, 126: 110, 141: 200, 1100: 200, 1230: 0},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &Workload{Functions: []string{"f"}, Servers: 1, Concurrency: int(tc.law.Target), Horizon: 2000}
			for range 200 {
				w.add(101, 1000, 0)
			}
			got := map[float64]int{}
			var s Simulator
			s.Run(w, tc.law, Config{Boot: 1, Trace: func(p Point) {
				for at := range tc.want {
					if p.At <= at {
						got[at] = p.Replicas
					}
				}
			}})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("replicas (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKPAHoldsItsTarget(t *testing.T) {
	t.Parallel()
	w := &Workload{Functions: []string{"f"}, Servers: 1, Concurrency: 10, Horizon: 600}
	for range 70 {
		w.add(50, 400, 0)
	}
	at := map[float64]int{300: 0, 590: 0}
	var s Simulator
	s.Run(w, &KPA{}, Config{Boot: 1, Trace: func(p Point) {
		for k := range at {
			if p.At <= k {
				at[k] = p.Replicas
			}
		}
	}})
	if want := map[float64]int{300: 10, 590: 0}; cmp.Diff(want, at) != "" {
		t.Errorf("70 jobs on 10 slots a pod at 70%%: replicas %v, want %v", at, want)
	}
}

func TestBoundIsBelowEveryLawThatIsInTime(t *testing.T) {
	t.Parallel()
	var s Simulator
	for _, m := range Makers() {
		w := m.New(5)
		if len(w.Jobs) > 20000 || len(w.Foreign) > 0 {
			continue
		}
		low := (&bound{}).run(w, Setting{Boot: 10, Target: 30})
		for _, l := range []Law{ours(30 * time.Second), KEDATuned(1), KEDATuned(5), &KPA{}} {
			if r := s.Run(w, l, Config{Boot: 10, Targets: []float64{30}}); r.Late[0] == 0 && r.WorkerHours < low.WorkerHours {
				t.Errorf("%s: %s needs %.3f worker-hours, less than the bound of %.3f", m.Name, l.Name(), r.WorkerHours, low.WorkerHours)
			}
		}
	}
}

// TestTheLawKeepsItsPromise plays the short form of the report's matrix. It is no measurement, only what must not break.
func TestTheLawKeepsItsPromise(t *testing.T) {
	t.Parallel()
	m := Matrix{Settings: Settings()[:1], Seeds: []uint64{1}, Rivals: true, Variants: true, Workers: 2}
	for _, k := range Makers() {
		switch k.Name {
		case "steady", "spike", "sparse bursts", "20 ms at 2/s", "failure storm", "concurrency 8", "server silent", "operator restart", "delayed jobs":
			m.Makers = append(m.Makers, k)
		}
	}
	s := Summarize(m.Run())
	t.Logf("%+v", s)
	if s.Cells != len(m.Makers) || s.CellsWithRival == 0 {
		t.Errorf("%d cells, %d with a rival, of %d", s.Cells, s.CellsWithRival, len(m.Makers))
	}
	if s.WorstMissPercent > 1 || s.Interrupted > 0 || s.PartialDowns > 0 {
		t.Errorf("%.2f%% late in %s, %d interrupted, %d scale-downs on partial data", s.WorstMissPercent, s.WorstMissCell, s.Interrupted, s.PartialDowns)
	}
	if s.HoursRatio > 0.95 || s.WorstHoursRatio > 1.25 || s.ReversalsRatio > 0.7 {
		t.Errorf("against tuned KEDA: hours %.2f (worst %.2f in %s), reversals %.2f", s.HoursRatio, s.WorstHoursRatio, s.WorstHoursCell, s.ReversalsRatio)
	}
	if s.NoTelemetryWorst > 2 {
		t.Errorf("without telemetry %.2f%% late in %s", s.NoTelemetryWorst, s.NoTelemetryCell)
	}
}

func TestSamplesComeInOrder(t *testing.T) {
	t.Parallel()
	var h events
	rng := rand.New(rand.NewPCG(7, 7))
	for i := range 5000 {
		h.push(math.Floor(rng.Float64()*100), jobEnds, int32(i))
	}
	last := event{at: -1}
	for len(h.heap) > 0 {
		e := h.pop()
		if e.at < last.at || (e.at == last.at && e.order < last.order) {
			t.Fatalf("event %+v after %+v", e, last)
		}
		last = e
	}
}

func BenchmarkRun(b *testing.B) {
	w := Makers()[0].New(1)
	var s Simulator
	b.ReportMetric(float64(len(w.Jobs)), "jobs/op")
	for b.Loop() {
		s.Run(w, ours(30*time.Second), Config{Targets: []float64{30}})
	}
}

func Example() {
	w := &Workload{Functions: []string{"resize"}, Servers: 1, Concurrency: 1, Jobs: []Job{{At: 10, Seconds: 1}}, Horizon: 120}
	var s Simulator
	r := s.Run(w, &Ours{Policy: scaling.Policy{TargetWait: 30 * time.Second}}, Config{Targets: []float64{30}})
	fmt.Println(r.Jobs, r.Late[0], r.Peak)
	// Output: 1 0 1
}
