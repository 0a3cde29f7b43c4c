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

// always orders a fixed number of replicas at once, and others at the given times.
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

// TestErlangC compares the waits of a pool of constant size with the textbook's formula, for
// Poisson arrivals and exponential job times.
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

// TestEveryJobIsBegunAndEnds runs each workload under each law, twice.
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
				t.Errorf(
					"%s under %s: of %d jobs %d began, %d have not ended, %d wait, %d run", m.Name, l.Name(),
					len(w.Jobs), begun, s.left, s.queued, s.runs,
				)
			}
			work := 0.
			for i := range w.Jobs {
				work += float64(w.Jobs[i].Seconds)
			}
			if len(w.Foreign) == 0 && r.WorkerHours < work/3600/float64(w.Concurrency) {
				t.Errorf(
					"%s under %s: %.2f worker-hours for %.2f hours of work", m.Name, l.Name(), r.WorkerHours, work/3600,
				)
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
		t.Errorf(
			"time enough to drain: %d pods drained, %d jobs interrupted, %.0f%% late; want 1, 0, 0%%", r.Drained,
			r.Interrupted, r.MissPercent(0),
		)
	}
	r = s.Run(w, stop, Config{Drain: 10, Targets: []float64{30}})
	if r.Drained != 1 || r.Interrupted != 2 {
		t.Errorf(
			"too little time to drain: %d pods drained, %d jobs interrupted; want 1 and 2", r.Drained, r.Interrupted,
		)
	}
}

// TestPriorities has one slot and three jobs that wait for it, the last of which has the highest
// priority.
func TestPriorities(t *testing.T) {
	t.Parallel()
	w := &Workload{Functions: []string{"f"}, Servers: 1, Concurrency: 1, Horizon: 100, Jobs: []Job{
		{At: 20, Seconds: 10, Priority: 2},
		{At: 21, Seconds: 10, Priority: 2},
		{At: 22, Seconds: 10, Priority: 1},
		{At: 23, Seconds: 10},
	}}
	var s Simulator
	// In this order they wait for 0, 29, 18 and 7 s; in the order of submission it would be 0, 9,
	// 18 and 27 s.
	if r := s.Run(
		w, &always{n: 1}, Config{Boot: 5, Targets: []float64{28, 17, 8, 6}},
	); cmp.Diff([]int{1, 2, 2, 3}, r.Late) != "" {
		t.Errorf("jobs that wait for over 28, 17, 8 and 6 s: %v, want 1, 2, 2 and 3", r.Late)
	}
}

// watched counts what the law got at its polls.
type watched struct {
	Ours
	polls, partial, unanswered, aged int
}

func (o *watched) watch(s *Simulator) {
	o.polls++
	if o.sample.Partial {
		o.partial++
	}
	if o.sample.NoAnswer > 0 {
		o.unanswered++
	}
	if s.now-o.told > s.w.TelemetryEvery/2 && s.w.TelemetryEvery > 0 {
		o.aged++
	}
}

// TestPollFaults: single lost answers have hardly any effect; a job server that is silent for
// longer is reported after three polls.
func TestPollFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		lost, telemetry float64
		silences        []Silence
		partial         func(share float64) bool // of the polls
		unanswered      bool
		aged            bool
	}{
		"no faults":       {partial: func(x float64) bool { return x == 0 }},
		"a quarter lost":  {lost: 0.25, partial: func(x float64) bool { return x > 0 && x < 0.1 }},
		"nearly all lost": {lost: 0.95, partial: func(x float64) bool { return x > 0.9 }, unanswered: true},
		"one silent for long": {
			silences: []Silence{{0, 1000, 2000}}, partial: func(x float64) bool { return x > 0.2 && x < 0.3 },
		},
		"late telemetry": {telemetry: 20, partial: func(x float64) bool { return x == 0 }, aged: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &Workload{
				Functions: []string{"f"}, Servers: 2, Concurrency: 1, Horizon: 4000, LostPolls: tc.lost,
				Silences: tc.silences, TelemetryEvery: tc.telemetry,
			}
			w.poisson(
				rand.New(rand.NewPCG(5, 5)), 0, 4000, 3, func(t float64) float64 { return 1.5 + 1.5*math.Sin(t/300) },
				exponential(3), 0,
			)
			for i := range w.Jobs {
				w.Jobs[i].Server = uint8(i % 2)
			}
			o := &watched{Ours: Ours{Policy: scaling.Policy{TargetWait: 30 * time.Second}}}
			var s Simulator
			r := s.Run(w, &o.Ours, Config{Targets: []float64{30}, Trace: func(Point) { o.watch(&s) }})
			if share := float64(o.partial) / float64(o.polls); !tc.partial(share) ||
				(o.unanswered > 0) != tc.unanswered || (o.aged > 0) != tc.aged {
				t.Errorf(
					"%.3f of %d polls partial, %d unanswered, %d with old telemetry", share, o.polls, o.unanswered,
					o.aged,
				)
			}
			if r.PartialDowns > 0 || r.Interrupted > 0 {
				t.Errorf("%d scale-downs on partial data, %d jobs interrupted", r.PartialDowns, r.Interrupted)
			}
		})
	}
}

func TestWhichPodsADeploymentRemoves(t *testing.T) {
	t.Parallel()
	w := &Workload{Functions: []string{"f"}, Servers: 1, Concurrency: 1}
	var s Simulator
	s.reset(w, &always{}, Config{}.withDefaults())
	s.spec = 4
	s.reconcile()
	for i := range s.pods[:3] {
		s.pods[i].state, s.pods[i].registered = working, 0
	}
	s.pods[2].changed = 90
	s.now = 100
	s.pods[0].cost = -1
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
		t.Errorf("then the one that has been ready for the shortest time (-want +got):\n%s", diff)
	}
}

// TestKEDA gives KEDA as many long jobs as its pods can run at once, and checks the documented
// steps.
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
			if r := s.Run(w, l, Config{Boot: 10, Targets: []float64{30}}); r.Late[0] == 0 &&
				r.WorkerHours < low.WorkerHours {
				t.Errorf(
					"%s: %s needs %.3f worker-hours, less than the bound of %.3f", m.Name, l.Name(), r.WorkerHours,
					low.WorkerHours,
				)
			}
		}
	}
}

// TestTheLawKeepsItsPromise runs the short form of the report's matrix. It is not a measurement,
// but checks the minimum that must hold.
func TestTheLawKeepsItsPromise(t *testing.T) {
	t.Parallel()
	m := Matrix{Settings: Settings()[:1], Seeds: []uint64{1}, Rivals: true, Variants: true, Workers: 2}
	for _, k := range Makers() {
		switch k.Name {
		case "steady", "spike", "sparse bursts", "20 ms at 2/s", "failure storm", "concurrency 8", "server silent",
			"operator restart", "delayed jobs",
			"boot storm, late telemetry", "busy pods drain", "four servers", "lost polls":
			m.Makers = append(m.Makers, k)
		}
	}
	s := Summarize(m.Run())
	t.Logf("%+v", s)
	if s.Cells != len(m.Makers) || s.CellsWithRival == 0 {
		t.Errorf("%d cells, %d with a rival, of %d", s.Cells, s.CellsWithRival, len(m.Makers))
	}
	if s.WorstMissPercent > 1 || s.Interrupted > 0 || s.PartialDowns > 0 {
		t.Errorf(
			"%.2f%% late in %s, %d interrupted, %d scale-downs on partial data", s.WorstMissPercent, s.WorstMissCell,
			s.Interrupted, s.PartialDowns,
		)
	}
	if s.HoursRatio > 0.95 || s.WorstHoursRatio > 1.25 || s.ReversalsRatio > 0.7 {
		t.Errorf(
			"against tuned KEDA: hours %.2f (worst %.2f in %s), reversals %.2f", s.HoursRatio, s.WorstHoursRatio,
			s.WorstHoursCell, s.ReversalsRatio,
		)
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
	w := &Workload{
		Functions: []string{"resize"}, Servers: 1, Concurrency: 1, Jobs: []Job{{At: 10, Seconds: 1}}, Horizon: 120,
	}
	var s Simulator
	r := s.Run(w, &Ours{Policy: scaling.Policy{TargetWait: 30 * time.Second}}, Config{Targets: []float64{30}})
	fmt.Println(r.Jobs, r.Late[0], r.Peak)
	// Output: 1 0 1
}
