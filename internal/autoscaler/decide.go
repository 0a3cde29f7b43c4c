package autoscaler

import (
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/sampling"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// Priorities of reconciles, beside the library's own: handler.LowPriority for what was there when
// the operator started.
const (
	priorityStatus = 0
	priorityScale  = 100 // never behind a queue of pools that have only a status to write
)

// Decide takes a decision on the pool from a sample, and reports whether the pool is to be
// reconciled, and how urgently. ask has the job servers asked whether a function's backlog is
// runnable, and reports whether the answer will come.
func (p *Pool) Decide(sample backlog.Sample, now time.Time, ask func(function string) bool) (write bool, priority int) {
	if p.used == nil {
		return false, 0
	}
	polled := sampling.Answered(&sample)
	if !polled {
		sample.Partial = true // nothing is known yet: the bounds are all there is to go by
	}
	law := p.used.Policy.At(now)
	sampling.TakeRetries(&sample, p.used.retries, &law)
	in := scalingSample(&p.observed, p.used.kind, &sample, law.Tick, p.view.At, now)
	in.PossibleRestart = in.PossibleRestart || p.lostOne // its workers may still process jobs, unseen
	p.lostOne = false
	seen := sampling.NewestAnswer(&sample)
	if law.Mode != scaling.ModePaused {
		p.verdicts.Probe(&in, seen.After(sampling.NewestAnswer(&p.view.Sample)), now, ask)
	}
	p.verdicts.Fill(&in, seen, now)
	if polled && in.Replicas == 0 && p.verdicts.Pending(now) {
		// At zero the verdict on the backlog comes first, in a few milliseconds; it, or the end of
		// sampling.VerdictWait, has the pool decided on again.
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
		// Not the job servers have it want fewer, but its spec or the clock: what they said is too
		// old to tell which pods work.
		p.fewerAt = now
	}
	p.view = poolstatus.NewView(now, d, law, sample, state.Learnt())
	p.noteOutcomes(sample.Functions, &law, now)
	p.noteWaits(&sample, in.Functions, &last)
	p.noteDivergence()
	return p.worthWriting(now)
}

// noteDivergence notes since which sample the replicas differ from the decision.
func (p *Pool) noteDivergence() {
	v, present := &p.view, p.observed.Workload.Replicas
	if !v.Decision.Apply || v.Decision.Replicas == present {
		p.divergedAt = time.Time{}
		return
	}
	if up := v.Decision.Replicas > present; p.divergedAt.IsZero() || p.divergedUp != up {
		p.divergedAt, p.divergedUp = sampling.NewestAnswer(&v.Sample), up
	}
}

// worthWriting reports whether the last reconcile's writes are behind the view.
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

// scaled notes that replicas were changed, and returns how long after the sample that asked for it,
// and whether to more; false if that is not known.
func (p *Pool) scaled(now time.Time) (delay time.Duration, up, known bool) {
	p.scaledAt = now
	if p.divergedAt.IsZero() {
		return 0, false, false
	}
	delay = now.Sub(p.divergedAt)
	p.divergedAt = time.Time{}
	return delay, p.divergedUp, true
}
