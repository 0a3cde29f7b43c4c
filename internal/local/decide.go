package local

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

const idleOnly = v1alpha1.PodRemovalIdleOnly

// decide takes a decision and acts on it.
func (p *pool) decide(now time.Time) {
	if p.leaving {
		return
	}
	sample, ok := p.fleet.watcher.Sample(p.key, now)
	if !ok {
		return
	}
	answered := slices.ContainsFunc(sample.Servers, func(s backlog.ServerSample) bool { return !s.LastGood.IsZero() })
	if !answered {
		sample.Partial = true // nothing is known yet: only the bounds count
	}
	policy := p.plan.compiled.At(now)
	before := p.last
	p.sample, p.last, p.min, p.max = sample, now, policy.MinReplicas, policy.MaxReplicas
	p.noteOutcomes(now)
	in := p.join(now)
	in.PossibleRestart = sample.PossibleRestart.After(before)
	p.probe(&in, now)
	if answered && p.replicas == 0 && p.probing() {
		return // the answer comes in a few milliseconds, and with it the next decision
	}
	p.decision, p.state = scaling.Decide(policy, p.state, in, now)
	p.order, p.ordering = scaling.Grow(p.orderingInput(in, now), p.ordering)
	p.apply(now)
	p.explain()
}

// noteOutcomes notes what became of jobs since the last sample.
func (p *pool) noteOutcomes(now time.Time) {
	var sum outcome.Counts
	for i := range p.sample.Functions {
		c := &p.sample.Functions[i].Counters
		sum = sum.Add(outcome.Counts{Completed: c.OK, Failed: c.Failed, Requeued: c.Requeued})
	}
	p.outcomes.Observe(now, sum)
}

// apply makes the decision's replicas the pool's. Growing happens at once; shrinking goes as far as there are workers that may go.
func (p *pool) apply(now time.Time) {
	want := p.order.Replicas
	if p.decision.Apply && want != p.replicas {
		wasZero := p.replicas == 0
		if want > p.replicas {
			p.replicas = want
		} else {
			p.shrink(want)
		}
		if wasZero != (p.replicas == 0) {
			// The same subscription was taken before, but for how often it polls.
			if err := p.subscribe(); err != nil {
				p.fleet.log.Error("The poller refuses the pool", "error", err)
			}
		}
	}
	p.act(now)
}

func (p *pool) shrink(want int32) {
	by := p.replicas - want
	missing := max(0, p.replicas-int32(len(p.live()))) // they need not be stopped
	removed := min(by, missing)
	removed += int32(p.remove(int(by-removed), p.decision.Forced))
	if p.decision.Forced {
		removed = by
	}
	p.replicas -= removed
}

func (p *pool) orderingInput(in scaling.Sample, now time.Time) *scaling.OrderingInput {
	o := &scaling.OrderingInput{
		Now: now, Replicas: p.replicas, Want: p.decision.Replicas, Floor: p.decision.Floor, Maximum: p.plan.spec.MaxReplicas, Template: p.plan.hash,
		Start: p.decision.Start, Answer: newestAnswer(&p.sample),
	}
	for _, w := range p.processes {
		pod := scaling.Pod{
			UID: w.uid, Owned: true, Assigned: true, Terminating: w.stopping, Phase: scaling.PhaseRunning, Created: w.created,
			Ready: !w.readyAt.IsZero(), WasReady: !w.readyAt.IsZero(), ReadySince: w.readyAt,
		}
		if p.crashes > 1 && !pod.Ready {
			pod.Trouble = scaling.TroubleFailing
		}
		switch t := p.telemetry(w); {
		case t.Unreachable():
			pod.Trouble = scaling.TroubleUnreachable
		case t.TakesNoJobs():
			pod.Trouble = scaling.TroubleTakesNoJobs
		}
		o.Pods = append(o.Pods, pod)
	}
	// Workers that wait for their restart.
	for i := len(p.live()); i < int(in.Replicas) && p.crashes > 1; i++ {
		o.Pods = append(o.Pods, scaling.Pod{
			UID: fmt.Sprintf("restart-%d", i), Owned: true, Assigned: true, Phase: scaling.PhasePending, Created: now, Trouble: scaling.TroubleFailing,
		})
	}
	return o
}

// newestAnswer is when a job server last answered.
func newestAnswer(s *backlog.Sample) time.Time {
	var at time.Time
	for i := range s.Servers {
		if t := s.Servers[i].LastGood; t.After(at) {
			at = t
		}
	}
	return at
}

// join puts together what the job servers and the processes say.
func (p *pool) join(now time.Time) scaling.Sample {
	s := &p.sample
	in := scaling.Sample{Replicas: p.replicas, Partial: s.Partial, Rollout: p.replacing()}
	if !s.NoAnswerSince.IsZero() {
		in.NoAnswer = max(0, now.Sub(s.NoAnswerSince))
	}
	for _, server := range s.Servers {
		switch {
		case server.Fresh:
			in.Answering++
		case !server.LeftOut && server.Resolved.IsValid() && !server.LastGood.IsZero() && server.State != backlog.StateRefused:
			in.Silent++
		}
	}
	var busy, draining int64
	for _, w := range p.processes {
		pod := scaling.PodSample{Name: w.name, Created: w.created, Registered: w.readyAt, Ready: !w.readyAt.IsZero(), Terminating: w.stopping}
		pod.Broken = !pod.Ready && p.crashes > 1
		if t := p.telemetry(w); !t.LastSeen.IsZero() {
			pod.Telemetry, pod.Busy, pod.Capacity, pod.TakesNoJobs = true, int32(t.Busy), int32(t.Capacity), t.TakesNoJobs()
		}
		if w.stopping {
			draining += int64(pod.Busy)
		} else {
			busy += int64(pod.Busy)
		}
		in.Pods = append(in.Pods, pod)
	}
	running := make([]int64, 0, len(s.Functions))
	for _, f := range s.Functions {
		c := f.Counters
		in.Functions = append(in.Functions, scaling.FunctionSample{
			Name: f.Name, Total: f.Queued + f.Running, Running: f.Running, SilentQueued: f.SilentQueued, LongestQueue: f.LongestQueue,
			Ended: c.OK, EndedSeconds: float64(c.OKMillis) / 1000, Failed: c.Failed, Requeued: c.Requeued, BusySeconds: float64(c.BusyMillis) / 1000,
		})
		running = append(running, f.Running)
	}
	for i, n := range backlog.Apportion(busy, running) {
		in.Functions[i].Busy = n
	}
	for i, n := range backlog.Apportion(draining, running) {
		in.Functions[i].Draining = n
	}
	slices.SortFunc(in.Functions, func(a, b scaling.FunctionSample) int { return strings.Compare(a.Name, b.Name) })
	return in
}

// replacing reports whether workers of an older plan still take jobs.
func (p *pool) replacing() bool {
	return slices.ContainsFunc(p.live(), func(w *process) bool { return w.hash != p.plan.hash })
}

// explain logs a decision that asks for another number of replicas than the last one, or that something else keeps from more.
func (p *pool) explain() {
	d := p.decision
	text := fmt.Sprintf("%d %s %t %t", d.Replicas, d.Limited, d.NotRunnable, p.order.Limited)
	if text == p.announced {
		return
	}
	p.announced = text
	attrs := []any{
		"pool", p.key.String(), "replicas", d.Replicas, "reason", string(d.Reason), "why", d.Message,
		"queued", int64(d.Terms.Queued), "running", int64(d.Terms.Running),
	}
	if d.Limited != "" {
		attrs = append(attrs, "limited", string(d.Limited), "wanted", d.Wanted)
	}
	if p.order.Limited {
		attrs = append(attrs, "blocked", p.order.Blocked())
	}
	if !d.Apply {
		attrs = append(attrs, "applied", false)
	}
	p.fleet.log.Info("Decision", attrs...)
}

// probe is what is known about whether a function's backlog can be handed to a worker.
type probe struct {
	asked       bool
	at          time.Time
	notRunnable bool
	stuck       int // decisions in a row in which free workers were not given the backlog
}

const (
	probeEvery   = 5 * time.Second
	probeTimeout = 2 * time.Second
	stuckTicks   = 3
)

// probe asks the job servers about backlogs that may not be runnable: at zero replicas, and those that free workers aren't given.
func (p *pool) probe(in *scaling.Sample, now time.Time) {
	free := int32(0)
	for _, pod := range in.Pods {
		if pod.Ready && !pod.Terminating && pod.Telemetry && !pod.TakesNoJobs {
			free += max(0, max(pod.Capacity, 1)-pod.Busy)
		}
	}
	for i := range in.Functions {
		f := &in.Functions[i]
		state := p.probes[f.Name]
		if state == nil {
			state = &probe{}
			p.probes[f.Name] = state
		}
		switch {
		case f.Total <= f.Running || in.Replicas > 0 && free == 0:
			if !state.asked {
				*state = probe{}
			}
			continue
		case in.Replicas > 0:
			state.stuck++
		}
		f.NotRunnable = state.notRunnable
		if !state.asked && now.Sub(state.at) >= probeEvery && (in.Replicas == 0 || state.stuck >= stuckTicks) {
			p.ask(f.Name, state)
		}
	}
}

// ask sends a probe. Without an answer the backlog counts as runnable: a worker too many does no harm, one too few does.
func (p *pool) ask(function string, state *probe) {
	state.asked = true
	go func() { // it ends after probeTimeout at the latest
		ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
		defer cancel()
		verdict, err := p.fleet.watcher.Runnable(ctx, p.key, function)
		p.fleet.post(func() {
			state.asked, state.at = false, time.Now()
			state.notRunnable = err == nil && verdict == backlog.NotRunnable
			p.decide(state.at)
		})
	}()
}

// probing reports whether the first answer about a backlog is on its way.
func (p *pool) probing() bool {
	for _, state := range p.probes {
		if state.asked && state.at.IsZero() {
			return true
		}
	}
	return false
}
