package autoscaler

import (
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/sampling"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// Priorities of reconciles, in addition to the library's own: handler.LowPriority for objects that
// existed when the operator started.
const (
	priorityStatus = 0
	priorityScale  = 100 // never behind a queue of pools that have only a status to write
)

// Decide decides on the pool from a sample, and reports whether the pool must be reconciled, and
// how urgently. requestProbe requests a probe of whether a function's backlog is runnable, and
// reports whether its verdict will arrive.
func (p *Pool) Decide(
	sample backlog.Sample, now time.Time, requestProbe func(function string) bool,
) (write bool, priority int) {
	if p.used == nil {
		return false, 0
	}
	polled := sampling.Answered(&sample)
	if !polled {
		sample.Partial = true // nothing is known yet: only the bounds count
	}
	law := p.used.Policy.At(now)
	sampling.TakeRetries(&sample, p.used.retries, &law)
	in := scalingSample(&p.observed, p.used.kind, &sample, law.Tick, p.view.At, now)
	in.PossibleRestart = in.PossibleRestart || p.serverRemoved // its workers may still process jobs, unseen
	p.serverRemoved = false
	seen := sampling.NewestAnswer(&sample)
	if law.Mode != scaling.ModePaused {
		p.verdicts.Probe(&in, seen.After(sampling.NewestAnswer(&p.view.Sample)), now, requestProbe)
	}
	p.verdicts.Fill(&in, seen, now)
	if polled && in.Replicas == 0 && p.verdicts.Pending(now) {
		// At zero the verdict on the backlog comes first, within a few milliseconds; either the
		// verdict or the end of sampling.VerdictWait triggers another decision.
		if p.divergedAt.IsZero() {
			p.divergedAt, p.divergedUp = seen, true
		}
		return false, 0
	}
	p.evidence = evidenceOf(&in, &sample)
	last := p.view
	d, state := scaling.Decide(law, p.state, in, now)
	p.state = state
	if d.Replicas < p.view.Decision.Replicas && !seen.After(sampling.NewestAnswer(&p.view.Sample)) {
		// Not the job servers but the spec or the clock lowered the replicas: their answers are too
		// old to show which pods are busy.
		p.fewerAt = now
	}
	p.view = poolstatus.NewView(now, d, law, sample, state.Learnt())
	p.recordOutcomes(sample.Functions, &law, now)
	p.recordWaits(&sample, in.Functions, &last)
	p.recordDivergence()
	return p.worthWriting(now)
}

// recordDivergence records since which sample the replicas differ from the decision.
func (p *Pool) recordDivergence() {
	v, present := &p.view, p.observed.Workload.Replicas
	if !v.Decision.Apply || v.Decision.Replicas == present {
		p.divergedAt = time.Time{}
		return
	}
	if up := v.Decision.Replicas > present; p.divergedAt.IsZero() || p.divergedUp != up {
		p.divergedAt, p.divergedUp = sampling.NewestAnswer(&v.Sample), up
	}
}

// worthWriting reports whether the view has changed enough since the last reconcile's writes.
func (p *Pool) worthWriting(now time.Time) (write bool, priority int) {
	v, w := &p.view, &p.written
	switch {
	case v.Decision.Apply && v.Decision.Replicas != p.observed.Workload.Replicas:
		return true, priorityScale
	case p.marksToClear(now):
		return true, priorityStatus
	case poolstatus.MarkOf(v) != w.mark:
		return true, priorityStatus
	}
	due := now.Sub(w.at) >= poolstatus.FiguresEvery && w.figures.Moved(poolstatus.FiguresOf(v))
	return due || !now.Before(p.refreshAt), priorityStatus
}

// scaled records that replicas were changed, and returns how long after the sample that caused it,
// and whether upwards; known is false if there was none.
func (p *Pool) scaled(now time.Time) (delay time.Duration, up, known bool) {
	p.scaledAt = now
	if p.divergedAt.IsZero() {
		return 0, false, false
	}
	delay = now.Sub(p.divergedAt)
	p.divergedAt = time.Time{}
	return delay, p.divergedUp, true
}
