package scaling

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// near reports whether x is y within a fraction of it.
func near(x, y, part float64) bool { return math.Abs(x-y) <= part*math.Abs(y)+1e-9 }

func TestJobTime(t *testing.T) {
	t.Parallel()
	// Each step: completed jobs with their seconds, failed or requeued jobs, busy seconds, slots
	// busy at the end.
	type step struct{ ended, endedSeconds, unwell, busySeconds, busy float64 }
	tests := map[string]struct {
		prior float64
		steps []step
		want  float64
	}{
		"nothing known: the prior":     {prior: 30, steps: []step{{}}, want: 30},
		"many jobs outweigh the prior": {prior: 30, steps: []step{{1000, 2000, 0, 2000, 0}}, want: 2},
		"running jobs count before the first ends": {
			prior: 30, steps: []step{{0, 0, 0, 50, 10}, {0, 0, 0, 50, 10}}, want: 130,
		},
		"what is running ends": {
			prior: 30, steps: []step{{0, 0, 0, 50, 1}, {1, 60, 0, 10, 0}}, want: 45,
		},
		"quick failures do not make jobs look short": {
			prior: 10, steps: []step{{10, 100, 0, 100, 0}, {0, 0, 10000, 500, 0}}, want: 10,
		},
		"a guess that is far too high": {prior: 30, steps: []step{{1, 1, 0, 1, 0}}, want: 2},
		"jobs that take no time": {
			prior: 30, steps: []step{{100, 0, 0, 0, 0}}, want: leastJob / 101,
		},
		"a failed job takes its time away": {
			prior: 10, steps: []step{{0, 0, 0, 100, 2}, {0, 0, 1, 0, 1}}, want: 60,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := Function{Prior: tc.prior, Mean: tc.prior}
			for _, s := range tc.steps {
				f.learnJobTime(5, s.ended, s.endedSeconds, s.unwell, s.busySeconds, s.busy)
			}
			if !near(f.Mean, tc.want, 0.03) {
				t.Errorf("mean is %.2f s, want %.2f", f.Mean, tc.want)
			}
		})
	}
}

// TestJobTimeIsRemembered: hours after its last job a pool still knows its job time, and needs no
// trial pods again.
func TestJobTimeIsRemembered(t *testing.T) {
	t.Parallel()
	f := Function{Prior: 30, Mean: 30}
	f.learnJobTime(5, fewJobs, 2*fewJobs, 0, 2*fewJobs, 0)
	for range 8 * 360 {
		f.learnJobTime(10, 0, 0, 0, 0, 0)
	}
	if !near(f.Mean, 2, 0.01) || !f.Saved || f.Jobs > 0.01 {
		t.Errorf("after 8 idle hours the mean is %.2f s (saved %v, %.3g jobs), want 2", f.Mean, f.Saved, f.Jobs)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mean  float64
		slots func(at float64) float64 // busy slots
		queue func(at float64) float64
		until float64
		want  float64
	}{
		"steady": {
			mean: 2, slots: func(float64) float64 { return 3 }, queue: func(float64) float64 { return 0 }, until: 900,
			want: 3,
		},
		"a queue that grows": {
			mean: 2, slots: func(float64) float64 { return 3 }, queue: func(t float64) float64 { return t }, until: 900,
			want: 5,
		},
		"a queue that shrinks": {
			mean: 2, slots: func(float64) float64 { return 3 }, queue: func(t float64) float64 { return 900 - t },
			until: 900, want: 1,
		},
		"begun a minute ago": {
			mean: 2, slots: func(t float64) float64 { return 4 * step(t > 840) },
			queue: func(float64) float64 { return 0 }, until: 900, want: 2,
		},
		"over for long": {
			mean: 2, slots: func(t float64) float64 { return 4 * step(t < 300) },
			queue: func(float64) float64 { return 0 }, until: 900, want: 0,
		},
		"long jobs, long sight": {
			mean: 600, slots: func(t float64) float64 { return 4 * step(t < 3000) },
			queue: func(float64) float64 { return 0 }, until: 3600, want: 2,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := Function{Mean: tc.mean}
			got, before := 0., tc.queue(0)
			for at := 5.; at <= tc.until; at += 5 {
				f.WorkBefore = f.Work
				f.Work += 5 * tc.slots(at)
				f.recordPoint(at, at-5, f.WorkBefore, before, tc.queue(at), f.Mean)
				before = tc.queue(at)
				got = f.load(at, before, f.Mean, 0)
			}
			if math.Abs(got-tc.want) > 0.2 {
				t.Errorf("load is %.2f slots, want %.2f", got, tc.want)
			}
			if len(f.Points) > maxPoints {
				t.Errorf("%d points are kept, at most %d should be", len(f.Points), maxPoints)
			}
		})
	}
}

func step(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func TestCohorts(t *testing.T) {
	t.Parallel()
	var f Function
	f.arrive(10, 5, 5, 30, 4)
	f.arrive(15, 3, 8, 30, 4)
	if diff := cmp.Diff([]Cohort{{10, 5}, {15, 3}}, f.Cohorts); diff != "" {
		t.Errorf("two arrivals (-want +got):\n%s", diff)
	}
	f.arrive(20, 2, 4, 30, 4) // six started: the oldest
	if diff := cmp.Diff([]Cohort{{15, 2}, {20, 2}}, f.Cohorts); diff != "" {
		t.Errorf("the oldest begin first (-want +got):\n%s", diff)
	}
	f.arrive(25, 0, 9, 30, 4) // five were requeued by a worker that died
	if diff := cmp.Diff([]Cohort{{15, 2}, {20, 2}, {25, 5}}, f.Cohorts); diff != "" {
		t.Errorf("jobs given back are new (-want +got):\n%s", diff)
	}
	f.arrive(26, 1, 10, 30, 4)
	f.arrive(60, 1, 11, 30, 4) // full: 15 and 20 are both late
	if diff := cmp.Diff([]Cohort{{15, 4}, {25, 5}, {26, 1}, {60, 1}}, f.Cohorts); diff != "" {
		t.Errorf("late cohorts become one (-want +got):\n%s", diff)
	}
	f.arrive(65, 1, 12, 300, 4) // full, none late: the pair closest for its age
	if diff := cmp.Diff([]Cohort{{15, 4}, {25, 6}, {60, 1}, {65, 1}}, f.Cohorts); diff != "" {
		t.Errorf("close cohorts become one (-want +got):\n%s", diff)
	}
	f.arrive(70, 7, 3, 300, 4) // more arrive than are left
	if diff := cmp.Diff([]Cohort{{70, 3}}, f.Cohorts); diff != "" {
		t.Errorf("a queue younger than one tick (-want +got):\n%s", diff)
	}
	f.arrive(75, 0, 0, 300, 4)
	if _, waits := f.oldest(); waits {
		t.Error("an empty queue has an oldest job")
	}
}

func TestBootIsTheMedianOfNewPods(t *testing.T) {
	t.Parallel()
	s := NewState(Learnt{}, start)
	if got := s.boot(); got != defaultBoot {
		t.Errorf("unknown boot time is %v s, want %v", got, defaultBoot)
	}
	pod := func(created, boot int) PodSample {
		at := start.Add(time.Duration(created) * time.Second)
		return PodSample{Created: at, Registered: at.Add(time.Duration(boot) * time.Second), Ready: true}
	}
	s.learnBoot([]PodSample{
		pod(-100, 99), pod(10, 20), pod(10, 22), pod(10, 500),
		{Created: start},
		{Created: start, Registered: start.Add(time.Minute), Broken: true},
	})
	if got := s.boot(); got != 22 {
		t.Errorf("boot time is %v s, want 22: pods of a former life and broken ones don't count", got)
	}
	s.learnBoot([]PodSample{pod(10, 20)})
	if got := s.Boot.Count; got != 3 {
		t.Errorf("%d starts are known, want 3: a pod counts once", got)
	}
	for i := range 40 {
		s.learnBoot([]PodSample{pod(1000+i*10, 5)})
	}
	if got := s.boot(); got != 5 || s.Boot.Count != bootCount {
		t.Errorf("boot time is %v s over %d starts, want 5 over %d", got, s.Boot.Count, bootCount)
	}
}

// The first pod of a new pool is created in the second in which the operator first sees the pool,
// and Kubernetes leaves out the fraction.
func TestBootOfTheFirstPod(t *testing.T) {
	t.Parallel()
	s := NewState(Learnt{}, start.Add(700*time.Millisecond))
	s.learnBoot([]PodSample{{Created: start, Registered: start.Add(4 * time.Second), Ready: true}})
	if got := s.boot(); got != 4 {
		t.Errorf("boot time is %v s, want 4", got)
	}
}

func TestStaffing(t *testing.T) {
	t.Parallel()
	tests := []struct{ load, seconds, target, want float64 }{
		{0, 1, 1, 0},
		{1, 1, 0, 5},       // Erlang C with 5 slots for 1 Erlang: 0.4% wait at all, with 4: 2%
		{10, 1, 0, 19},     // 0.8%, with 18: 1.6%
		{10, 1, 5, 11},     // a target wait of five job times saves eight slots
		{1000, 1, 1, 1074}, // the normal limit
	}
	for _, tc := range tests {
		if got := staffing(tc.load, tc.seconds, tc.target); got != tc.want {
			t.Errorf("staffing(%v, %v, %v) = %v, want %v", tc.load, tc.seconds, tc.target, got, tc.want)
		}
	}
}

func TestWindowErrsToTheLowSide(t *testing.T) {
	t.Parallel()
	var w Window
	var all []Entry
	for i := range 400 {
		at, v := float64(i), float64((i*7919)%97)
		w.push(at, v, 50)
		all = append(all, Entry{at, v})
		least := math.Inf(1)
		for _, e := range all {
			if e.At >= at-50 {
				least = min(least, e.Value)
			}
		}
		got, full := w.least(at, 50)
		if got > least || full != (at >= 50) || len(w.Entries) > maxEntries {
			t.Fatalf("at %v: least %v (full %v, %d entries), want at most %v", at, got, full, len(w.Entries), least)
		}
	}
	w.restart(400)
	if _, full := w.least(400, 50); full {
		t.Error("a window started anew is full")
	}
}

func TestLearntSurvivesARestart(t *testing.T) {
	t.Parallel()
	q := newPool(Policy{MaxReplicas: 10}, 2)
	q.tick()
	f := &q.sample.Functions[0]
	f.Ended, f.EndedSeconds = 100, 700
	q.tick()
	learnt := q.state.Learnt()
	if len(learnt.JobTimes) != 1 || !near(learnt.JobTimes[0].Time.Seconds(), 7, 0.05) {
		t.Fatalf("learnt %+v, want 7 s of %q", learnt, f.Name)
	}
	learnt.Boot = 42 * time.Second
	learnt.JobTimes = append(learnt.JobTimes, JobTime{"gone", time.Second})
	again := NewState(learnt, q.now)
	if diff := cmp.Diff(learnt, again.Learnt()); diff != "" {
		t.Errorf("before anything was seen (-want +got):\n%s", diff)
	}
	_, again = Decide(q.policy, again, q.sample, q.now)
	if got := again.Functions[0].Mean; !near(got, 7, 0.05) || again.boot() != 42 {
		t.Errorf("after the restart a job takes %.2f s and a boot %.0f s, want 7 and 42", got, again.boot())
	}
}

// TestReplay records a state as JSON in the middle of a run, and expects the same decisions from
// there.
func TestReplay(t *testing.T) {
	t.Parallel()
	q := newPool(
		Policy{
			MaxReplicas: 100, TargetWait: time.Minute,
			Behavior: &Behavior{ScaleUp: &ScalingRules{Policies: []ScalingPolicy{{PolicyPods, 4, time.Minute}}}},
		},
		2,
	)
	play := func(q *pool, from, to int) (all []outcome) {
		for i := from; i < to; i++ {
			q.busy(len(q.sample.Pods))
			q.queue(int64(i * i))
			q.sample.Functions[0].Ended += int64(i)
			q.sample.Functions[0].EndedSeconds += float64(i)
			q.tick()
			q.sample.Replicas = q.last.Replicas
			all = append(all, q.last.outcome())
		}
		return all
	}
	play(q, 0, 40)
	data, err := json.Marshal(q.state)
	if err != nil {
		t.Fatal(err)
	}
	r := *q
	r.sample.Functions = append([]FunctionSample(nil), q.sample.Functions...)
	r.state = State{}
	if err := json.Unmarshal(data, &r.state); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(play(q, 40, 80), play(&r, 40, 80)); diff != "" {
		t.Errorf("replayed decisions differ (-want +got):\n%s", diff)
	}
}

func TestBehavior(t *testing.T) {
	t.Parallel()
	pods := func(n int32, period time.Duration) ScalingPolicy { return ScalingPolicy{PolicyPods, n, period} }
	percent := func(n int32, period time.Duration) ScalingPolicy { return ScalingPolicy{PolicyPercent, n, period} }
	type call struct {
		at      float64
		wanted  int32
		present int32
	}
	tests := map[string]struct {
		behavior Behavior
		calls    []call
		want     []int32
		limit    Limit
	}{
		"none": {calls: []call{{0, 50, 1}, {5, 0, 50}}, want: []int32{50, 0}},
		"pods up": {
			behavior: Behavior{ScaleUp: &ScalingRules{Policies: []ScalingPolicy{pods(4, time.Minute)}}},
			calls:    []call{{0, 50, 1}, {5, 50, 5}, {66, 50, 5}}, want: []int32{5, 5, 9}, limit: LimitScaleUp,
		},
		"percent up": {
			behavior: Behavior{ScaleUp: &ScalingRules{Policies: []ScalingPolicy{percent(100, time.Minute)}}},
			calls:    []call{{0, 50, 3}}, want: []int32{6}, limit: LimitScaleUp,
		},
		"percent of nothing is one": {
			behavior: Behavior{ScaleUp: &ScalingRules{Policies: []ScalingPolicy{percent(100, time.Minute)}}},
			calls:    []call{{0, 50, 0}}, want: []int32{1}, limit: LimitScaleUp,
		},
		"the larger of two": {
			behavior: Behavior{
				ScaleUp: &ScalingRules{Policies: []ScalingPolicy{pods(4, time.Minute), percent(100, time.Minute)}},
			},
			calls: []call{{0, 50, 10}}, want: []int32{20}, limit: LimitScaleUp,
		},
		"the smaller of two": {
			behavior: Behavior{
				ScaleUp: &ScalingRules{
					Select: SelectMin, Policies: []ScalingPolicy{pods(4, time.Minute), percent(100, time.Minute)},
				},
			},
			calls: []call{{0, 50, 10}}, want: []int32{14}, limit: LimitScaleUp,
		},
		"up disabled": {
			behavior: Behavior{ScaleUp: &ScalingRules{Select: SelectDisabled}}, calls: []call{{0, 50, 10}},
			want: []int32{10}, limit: LimitScaleUp,
		},
		"down disabled": {
			behavior: Behavior{ScaleDown: &ScalingRules{Select: SelectDisabled}}, calls: []call{{0, 0, 10}},
			want: []int32{10}, limit: LimitScaleDown,
		},
		"pods down": {
			behavior: Behavior{ScaleDown: &ScalingRules{Policies: []ScalingPolicy{pods(3, time.Minute)}}},
			calls:    []call{{0, 0, 10}, {5, 0, 7}, {66, 0, 7}}, want: []int32{7, 7, 4}, limit: LimitScaleDown,
		},
		"percent down": {
			behavior: Behavior{ScaleDown: &ScalingRules{Policies: []ScalingPolicy{percent(50, time.Minute)}}},
			calls:    []call{{0, 0, 9}}, want: []int32{4}, limit: LimitScaleDown,
		},
		"the least down of two": {
			behavior: Behavior{
				ScaleDown: &ScalingRules{
					Select: SelectMin, Policies: []ScalingPolicy{pods(3, time.Minute), percent(50, time.Minute)},
				},
			},
			calls: []call{{0, 0, 10}}, want: []int32{7}, limit: LimitScaleDown,
		},
		"stabilized down": {
			behavior: Behavior{ScaleDown: &ScalingRules{Stabilization: time.Minute}},
			calls:    []call{{0, 8, 8}, {30, 2, 8}, {61, 2, 8}}, want: []int32{8, 8, 2},
		},
		"stabilized up": {
			behavior: Behavior{ScaleUp: &ScalingRules{Stabilization: time.Minute}},
			calls:    []call{{0, 2, 2}, {30, 9, 2}, {61, 9, 2}}, want: []int32{2, 2, 9},
		},
		"within the tolerance": {
			behavior: Behavior{ScaleUp: &ScalingRules{Tolerance: 0.1}, ScaleDown: &ScalingRules{Tolerance: 0.2}},
			calls:    []call{{0, 11, 10}, {5, 12, 10}, {10, 8, 10}, {15, 7, 10}, {20, 1, 0}, {25, 0, 1}},
			want:     []int32{10, 12, 10, 7, 1, 0},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := NewState(Learnt{}, start)
			s.Seen = true
			p := Policy{Behavior: &tc.behavior}
			var got []int32
			var limits []Limit
			for i, c := range tc.calls {
				if i == 0 {
					s.Replicas = c.present
				}
				s.recordReplicas(&p, &Sample{Replicas: c.present}, c.at)
				n, limit := s.applyBehavior(&tc.behavior, c.wanted, c.present, c.at)
				got, limits = append(got, n), append(limits, limit)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("replicas (-want +got):\n%s", diff)
			}
			if tc.limit != "" && limits[0] != tc.limit {
				t.Errorf("limits are %q, want the first to be %q", limits, tc.limit)
			}
		})
	}
}

func TestChangesAreBounded(t *testing.T) {
	t.Parallel()
	s := NewState(Learnt{}, start)
	for i := range 100 {
		s.changed(float64(i), 1, 1000)
	}
	if n := s.changes(1000*time.Second, 100); len(s.Changes) > maxChanges || n != 100 {
		t.Errorf("%d changes of together %v are kept, want at most %d of 100", len(s.Changes), n, maxChanges)
	}
}

func ExampleDecide() {
	state := NewState(Learnt{}, start)
	sample := Sample{Functions: []FunctionSample{{Name: "resize", Total: 3}}}
	decision, _ := Decide(Policy{MaxReplicas: 10}, state, sample, start.Add(time.Second))
	fmt.Println(decision.Reason, decision.Replicas > 0)
	// Output: FromZero true
}
