package local

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/sampling"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

const idleOnly = v1alpha1.PodRemovalIdleOnly

// decide decides and applies the decision.
func (p *pool) decide(now time.Time) {
	if p.leaving {
		return
	}
	sample, ok := p.fleet.watcher.Sample(p.key, now)
	if !ok || !p.decideOn(&sample, now, p.requestProbe) {
		return
	}
	p.apply(now)
	p.explain()
}

// decideOn decides on a sample, and reports whether it did: at zero replicas the verdict on the
// backlog comes first. requestProbe requests a probe of whether a function's backlog is runnable,
// and reports whether its verdict will arrive.
func (p *pool) decideOn(sample *backlog.Sample, now time.Time, requestProbe func(function string) bool) bool {
	answered := sampling.Answered(sample)
	if !answered {
		sample.Partial = true // nothing is known yet: only the bounds count
	}
	policy := p.plan.compiled.At(now)
	sampling.TakeRetries(sample, p.plan.retries, &policy)
	last, before := p.last, sampling.NewestAnswer(&p.sample)
	p.sample, p.last, p.min, p.max = *sample, now, policy.MinReplicas, policy.MaxReplicas
	p.recordOutcomes(now)
	in := sampling.Join(&sampling.Input{
		Servers: &p.sample, Replicas: p.replicas, Rollout: p.replacing(), Pods: p.samplingPods(), Tick: policy.Tick,
		Last: last, Now: now,
	})
	seen := sampling.NewestAnswer(&p.sample)
	if policy.Mode != scaling.ModePaused {
		p.verdicts.Probe(&in, seen.After(before), now, requestProbe)
	}
	p.verdicts.Fill(&in, seen, now)
	if answered && p.replicas == 0 && p.verdicts.Pending(now) {
		return false // the verdict arrives in a few milliseconds, and triggers the next decision
	}
	p.decision, p.state = scaling.Decide(policy, p.state, in, now)
	p.order, p.ordering = scaling.OrderReplicas(p.orderingInput(in, now), p.ordering)
	return true
}

// samplingPods converts the processes for the law.
func (p *pool) samplingPods() []sampling.Pod {
	pods := make([]sampling.Pod, len(p.processes))
	for i, w := range p.processes {
		ready := !w.readyAt.IsZero()
		pods[i] = sampling.Pod{
			Name: w.name, UID: w.uid, Created: w.created, ReadySince: w.readyAt, Ready: ready, WasReady: ready,
			Broken: !ready && p.crashes > 1, Terminating: w.stopping,
		}
	}
	return pods
}

// recordOutcomes records how jobs ended since the last sample.
func (p *pool) recordOutcomes(now time.Time) {
	counters, _ := sampling.Outcomes(p.sample.Functions)
	p.outcomes.ObserveFunctions(now, counters)
}

// apply sets the pool's replicas to the decision's. Scaling up happens at once; scaling down is
// limited to workers that may be stopped.
func (p *pool) apply(now time.Time) {
	want := p.order.Replicas
	if p.decision.Apply && want != p.replicas {
		wasZero := p.replicas == 0
		if want > p.replicas {
			p.replicas = want
		} else {
			p.scaleDown(want)
		}
		if wasZero != (p.replicas == 0) {
			// The same subscription was accepted before, except for its period.
			if err := p.subscribe(); err != nil {
				p.fleet.log.Error("The poller refuses the pool", "error", err)
			}
		}
	}
	p.act(now)
}

func (p *pool) scaleDown(want int32) {
	by := p.replicas - want
	missing := max(0, p.replicas-int32(len(p.live()))) // these don't have to be stopped
	removed := min(by, missing)
	removed += int32(p.remove(int(by-removed), p.decision.Forced))
	if p.decision.Forced {
		removed = by
	}
	p.replicas -= removed
}

func (p *pool) orderingInput(in scaling.Sample, now time.Time) *scaling.OrderingInput {
	o := &scaling.OrderingInput{
		Now: now, Replicas: p.replicas, Want: p.decision.Replicas, Floor: p.decision.Floor,
		Maximum: p.plan.spec.MaxReplicas, Template: p.plan.hash,
		Start: p.decision.Start, Answer: sampling.NewestAnswer(&p.sample),
	}
	for _, w := range p.processes {
		pod := scaling.Pod{
			UID: w.uid, Owned: true, Assigned: true, Terminating: w.stopping, Phase: scaling.PhaseRunning,
			Created: w.created,
			Ready:   !w.readyAt.IsZero(), WasReady: !w.readyAt.IsZero(), ReadySince: w.readyAt,
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
	// Workers waiting for their restart.
	for i := len(p.live()); i < int(in.Replicas) && p.crashes > 1; i++ {
		o.Pods = append(o.Pods, scaling.Pod{
			UID: fmt.Sprintf("restart-%d", i), Owned: true, Assigned: true, Phase: scaling.PhasePending, Created: now,
			Trouble: scaling.TroubleFailing,
		})
	}
	return o
}

// replacing reports whether workers of an older plan still take jobs.
func (p *pool) replacing() bool {
	return slices.ContainsFunc(p.live(), func(w *process) bool { return w.hash != p.plan.hash })
}

// explain logs a decision with another number of replicas than the last one, or one that something
// else keeps from more.
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

// probeTimeout bounds one probe.
const probeTimeout = 2 * time.Second

// requestProbe starts a probe, and decides again with its verdict, or before that if it takes
// longer than a pool waits for it. Without a verdict the backlog counts as runnable: a surplus
// worker does no harm, a missing one does.
func (p *pool) requestProbe(function string) bool {
	late := time.AfterFunc(sampling.VerdictWait, func() { p.fleet.post(func() { p.decide(time.Now()) }) })
	go func() { // it ends after probeTimeout at the latest
		defer late.Stop()
		ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
		defer cancel()
		verdict, err := p.fleet.watcher.Runnable(ctx, p.key, function)
		if err != nil {
			verdict = backlog.Unknown
		}
		p.fleet.post(func() {
			now := time.Now()
			p.verdicts.Answer(function, verdict, now)
			p.decide(now)
		})
	}()
	return true
}
