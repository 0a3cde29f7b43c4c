package autoscaler

import (
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

const (
	// stuckTicks is for how many ticks free slots must have been left without a backlog's jobs before it is probed.
	stuckTicks = 3
	// verdictFor is for how long a verdict counts.
	verdictFor = 5 * time.Second
	// verdictWait is for how long a pool at zero waits for a first verdict; then it is decided on without one.
	verdictWait = 250 * time.Millisecond
	// probesOfPool is how many probes of one pool may be under way at the same time.
	probesOfPool = 8
)

// verdict is what a job server said of a function's backlog: whether it can be given to a worker.
type verdict struct {
	runnable, notRunnable bool // neither: it is not known

	at      time.Time
	since   time.Time // start of the current run of equal verdicts
	askedAt time.Time // of the probe under way; zero if none is
}

// probe asks for verdicts on backlogs that may not be runnable: any at zero replicas, and those that free slots were not given for some ticks; fresh says that
// the job servers have answered since the last decision.
func (p *Pool) probe(law scaling.Policy, in scaling.Sample, fresh bool, now time.Time, ask func(function string) bool) {
	if law.Mode == scaling.ModePaused {
		return
	}
	var free int32
	for _, pod := range in.Pods {
		if pod.Ready && !pod.Terminating && pod.Telemetry && !pod.TakesNoJobs {
			free += max(0, max(pod.Capacity, 1)-pod.Busy)
		}
	}
	for _, f := range in.Functions {
		queued := f.Total - f.Running
		switch {
		case queued <= 0:
			delete(p.stuck, f.Name)
			p.dropVerdict(f.Name)
		case in.Replicas == 0:
			p.askVerdict(f.Name, now, ask)
		case free == 0:
			delete(p.stuck, f.Name)
			p.dropVerdict(f.Name)
		default:
			if p.stuck == nil {
				p.stuck = map[string]int{}
			}
			if fresh {
				p.stuck[f.Name]++
			}
			if p.stuck[f.Name] >= stuckTicks {
				p.askVerdict(f.Name, now, ask)
			}
		}
	}
}

// askVerdict has the function probed unless its verdict is fresh or under way.
func (p *Pool) askVerdict(function string, now time.Time, ask func(function string) bool) {
	v := p.verdicts[function]
	if !v.askedAt.IsZero() || p.probing() >= probesOfPool || (!v.at.IsZero() && now.Sub(v.at) < verdictFor) {
		return
	}
	if ask(function) { // else so many probes wait that this one can wait for the next tick
		v.askedAt = now
		if p.verdicts == nil {
			p.verdicts = map[string]verdict{}
		}
		p.verdicts[function] = v
	}
}

// probing counts the probes under way.
func (p *Pool) probing() (n int) {
	for _, v := range p.verdicts {
		if !v.askedAt.IsZero() {
			n++
		}
	}
	return n
}

// answerVerdict notes the answer to a probe. It is dropped if the pool was forgotten meanwhile.
func (p *Pool) answerVerdict(function string, answer backlog.Verdict, now time.Time) {
	last, ok := p.verdicts[function]
	if !ok {
		return
	}
	next := verdict{runnable: answer == backlog.Runnable, notRunnable: answer == backlog.NotRunnable, at: now, since: now}
	if last.notRunnable && next.notRunnable {
		next.since = last.since
	}
	p.verdicts[function] = next
}

// dropVerdict forgets the verdict on a function that has no backlog to be probed.
func (p *Pool) dropVerdict(function string) {
	if v, ok := p.verdicts[function]; ok && v.askedAt.IsZero() {
		delete(p.verdicts, function)
	}
}

// notRunnable reports whether the verdict on a function is so. If workers take jobs, the last of them may have gone just before the probe, so that the job server had
// nothing to give: then the verdict counts once a later answer, that of seen, still shows the backlog.
func (p *Pool) notRunnable(function string, workers bool, seen time.Time) bool {
	v := p.verdicts[function]
	return v.notRunnable && (!workers || seen.After(v.since))
}

// runnable reports whether the verdict on a function is so. A positive one is evidence for as long as a verdict counts.
func (p *Pool) runnable(function string, now time.Time) bool {
	v := p.verdicts[function]
	return v.runnable && now.Sub(v.at) < 2*verdictFor // until the next one has come
}

// verdictPending reports whether a first verdict on one of the pool's functions is under way and worth waiting for.
func (p *Pool) verdictPending(now time.Time) bool {
	for _, v := range p.verdicts {
		if !v.askedAt.IsZero() && v.at.IsZero() && now.Sub(v.askedAt) < verdictWait {
			return true
		}
	}
	return false
}
