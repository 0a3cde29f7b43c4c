package sim

import (
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// Ours is the law of internal/scaling, used as the operator uses it.
type Ours struct {
	Label  string
	Policy scaling.Policy // what a user would set, such as TargetWait and JobTimeHint; the simulator adds the rest
	// At, if set, returns the policy for a time instead, for policies that change (schedules).
	At func(time.Time) scaling.Policy
	// Measure makes the operator's own estimate of late jobs follow the run, see Estimate.
	Measure bool
	waits   waits

	state    scaling.State
	decision scaling.Decision
	sample   scaling.Sample
	policy   scaling.Policy
	facts    scaling.Facts
	last     scaling.Plan
	plans    scaling.PlanState
	index    map[string]int32 // index of the pods of the last view
	wantLess float64          // since when fewer replicas are wanted; negative if they aren't
	answers  []bool           // whether each job server answers the poll in progress
	answered []float64        // when it last answered
	silent   []bool           // whether that is too long ago
	total    []int            // by function and server, as last reported
	running  []int
	told     float64 // time of the last telemetry
}

// watchLag is the delay of the operator's cache in seconds.
const watchLag = 1

// stalePolls is for how many polls a job server's answer is valid.
const stalePolls = 3

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(t float64) time.Time { return epoch.Add(time.Duration(t * float64(time.Second))) }

// Name implements Law.
func (o *Ours) Name() string { return o.Label }

func (o *Ours) start(s *Simulator) {
	o.state = scaling.NewState(scaling.Learnt{}, epoch)
	o.sample = scaling.Sample{Functions: make([]scaling.FunctionSample, len(s.w.Functions)), Pods: o.sample.Pods[:0]}
	for i, f := range s.w.Functions {
		o.sample.Functions[i].Name = f
	}
	o.answers, o.answered, o.silent, o.told = make([]bool, s.w.Servers), make(
		[]float64, s.w.Servers,
	), make([]bool, s.w.Servers), -1e9
	o.total, o.running = make([]int, len(s.total)), make([]int, len(s.total))
	o.plans, o.index, o.wantLess = scaling.PlanState{}, map[string]int32{}, -1
	o.waits = waits{}
}

// restart simulates a restart of the operator: it knows what it wrote to the status, and every pod.
func (o *Ours) restart(s *Simulator) {
	o.state = scaling.NewState(o.state.Learnt(), at(s.now))
	o.plans = scaling.PlanState{}
	o.waits.restart()
}

func (o *Ours) step(s *Simulator) float64 {
	tick := s.c.Poll
	if s.spec == 0 {
		tick = 1
	}
	if o.policy = o.Policy; o.At != nil {
		o.policy = o.At(at(s.now))
	} else {
		o.policy.MinReplicas, o.policy.MaxReplicas = s.c.MinReplicas, s.c.MaxReplicas
		o.policy.Drain = time.Duration(s.c.Drain * float64(time.Second))
	}
	o.policy.Concurrency = int32(s.w.Concurrency)
	o.policy.Tick = time.Duration(tick * float64(time.Second))
	o.look(s)
	o.decision, o.state = scaling.Decide(o.policy, o.state, o.sample, at(s.now))
	if o.Measure {
		o.waits.observe(s, o)
	}
	o.plan(s)
	if s.spec == 0 {
		return s.now + 1
	}
	return s.now + s.c.Poll
}

// ask begins a poll and determines which job servers answer it. It reports whether one of them
// returns telemetry.
func (o *Ours) ask(s *Simulator) bool {
	some := false
	for k := range s.w.Servers {
		o.answers[k] = s.w.LostPolls == 0 || s.rng.Float64() >= s.w.LostPolls
		for _, x := range s.w.Silences {
			o.answers[k] = o.answers[k] && !(x.Server == k && s.now >= x.From && s.now < x.To)
		}
		some = some || o.answers[k]
	}
	if !some || s.now-o.told < s.w.TelemetryEvery {
		return false
	}
	o.told = s.now
	return true
}

// look builds the sample: what the job servers report now or last reported, and what telemetry
// reported a moment ago.
func (o *Ours) look(s *Simulator) {
	in := &o.sample
	in.Replicas, in.Partial, in.PossibleRestart, in.NoAnswer, in.Answering, in.Silent = s.spec, false, false, 0, 0, 0
	answer, last := false, 0.
	for k := range s.w.Servers {
		if o.answers[k] {
			o.answered[k] = s.now
			for q := k; q < len(s.total); q += s.w.Servers {
				o.total[q], o.running[q] = s.total[q], s.running[q]
			}
		}
		silent := s.now-o.answered[k] > stalePolls*s.c.Poll
		in.PossibleRestart = in.PossibleRestart || (o.silent[k] && !silent)
		o.silent[k] = silent
		in.Partial = in.Partial || silent
		last = max(last, o.answered[k])
		if silent {
			in.Silent++
		} else {
			answer = true
			in.Answering++
		}
	}
	if !answer {
		in.NoAnswer = time.Duration((s.now - last) * float64(time.Second))
	}
	s.parted = in.Partial
	for f := range in.Functions {
		g, c := &in.Functions[f], &s.rep[f]
		g.Total, g.Running, g.SilentQueued, g.LongestQueue = 0, 0, 0, 0
		for k := range s.w.Servers {
			if q := int64(o.total[f*s.w.Servers+k] - o.running[f*s.w.Servers+k]); o.silent[k] {
				g.SilentQueued += q
			} else {
				g.LongestQueue = max(g.LongestQueue, q)
			}
			g.Total += int64(o.total[f*s.w.Servers+k])
			g.Running += int64(o.running[f*s.w.Servers+k])
		}
		if s.c.NoTelemetry {
			continue
		}
		g.Busy, g.Draining, g.Ended, g.EndedSeconds = c.busy, c.draining, c.ended, c.endedSeconds
		g.Failed, g.Requeued, g.BusySeconds = c.failed, c.requeued, c.doneSeconds
	}
	in.Pods = in.Pods[:0]
	for _, i := range s.alive {
		p := &s.pods[i]
		q := scaling.PodSample{Name: podName(i), Created: at(p.created), Broken: p.trouble != scaling.TroubleNone}
		if p.registered >= 0 {
			q.Registered, q.Ready, q.WasReady = at(p.registered), p.state == working, true
		}
		if !s.c.NoTelemetry && p.seen {
			q.Telemetry, q.Busy, q.Capacity = true, int32(p.told), int32(s.w.Concurrency)
		}
		in.Pods = append(in.Pods, q)
	}
}

// plan uses the operator's own rules to decide which pods to remove and how many to order, and
// applies the result.
func (o *Ours) plan(s *Simulator) {
	in := &o.sample
	f := &o.facts
	f.Now, f.Replicas, f.Complete = at(s.now), s.spec, !in.Partial && in.NoAnswer == 0
	f.Running, f.Unexplained = 0, 0
	for i := range in.Functions {
		f.Running += in.Functions[i].Running
		f.Unexplained += max(0, in.Functions[i].Running-in.Functions[i].Busy-in.Functions[i].Draining)
	}
	f.Answer, f.Newest = at(slices.Min(o.answered)), at(slices.Max(o.answered))
	o.view(s)
	var plan scaling.Plan
	defer func() { o.last = plan }()
	plan, o.plans = scaling.PlanPods(&o.policy, &o.decision, f, o.plans)
	for _, p := range plan.Patches {
		s.patch(o.index[p.UID], p.Cost)
	}
	less := o.decision.Replicas < s.spec
	switch {
	case !less:
		o.wantLess = -1
	case o.wantLess < 0:
		o.wantLess = s.now
	}
	s.setReplicas(plan.Replicas)
	if less && s.spec <= o.decision.Replicas {
		s.result.ScaleDowns.add(s.now - o.wantLess)
		o.wantLess = -1
	}
}

// view builds what the operator's cache shows of the pods: a watch delivers everything a second
// late.
func (o *Ours) view(s *Simulator) {
	f := &o.facts
	f.Pods = f.Pods[:0]
	clear(o.index)
	for _, i := range s.alive {
		p := &s.pods[i]
		if s.now-p.created < watchLag {
			continue
		}
		f.Pods = append(f.Pods, o.shown(s, i))
	}
	for _, i := range s.dying {
		if s.now-s.pods[i].stopped < watchLag {
			f.Pods = append(f.Pods, o.shown(s, i))
		}
	}
}

func (o *Ours) shown(s *Simulator, i int32) scaling.Pod {
	p := &s.pods[i]
	uid := podName(i)
	o.index[uid] = i
	q := scaling.Pod{UID: uid, Owned: true, Created: at(p.created), Trouble: p.trouble, Cost: p.cost}
	if s.now-p.costAt < watchLag {
		q.Cost = p.costBefore
	}
	q.Assigned = p.trouble != scaling.TroubleUnschedulable
	if p.registered >= 0 {
		q.Phase, q.WasReady = scaling.PhaseRunning, true
		ready := p.state == working
		if s.now-p.changed < watchLag {
			ready = !ready
		}
		if ready || p.state == draining || p.state == gone {
			q.Ready, q.ReadySince = true, at(p.changed)
		}
	}
	if !s.c.NoTelemetry && p.seen {
		q.Heard, q.Busy, q.BusySince = at(o.told), int32(p.told), at(p.since)
	}
	return q
}

func (o *Ours) reason() string { return string(o.decision.Reason) }
