package autoscaler

import (
	"time"

	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

const (
	// stuckTicks is for how many ticks free slots must have been left without a backlog's jobs before it is probed.
	stuckTicks = 3
	// verdictFor is for how long a verdict counts.
	verdictFor = 5 * time.Second
)

// verdict is what a job server said of a function's backlog: whether it can be given to a worker.
type verdict struct {
	notRunnable bool
	at          time.Time
	since       time.Time // start of the current run of equal verdicts
	asked       bool      // a probe is under way
}

// probe asks for verdicts on backlogs that may not be runnable: any at zero replicas, and those that free slots were not given for some ticks; fresh says that
// the job servers have answered since the last decision.
func (p *Pool) probe(law scaling.Policy, in scaling.Sample, fresh bool, now time.Time, ask func(function string) bool) {
	if law.Mode == scaling.ModePaused {
		return
	}
	var free int32
	for _, pod := range in.Pods {
		if pod.Ready && !pod.Terminating && pod.Telemetry {
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
	if v.asked || (!v.at.IsZero() && now.Sub(v.at) < verdictFor) {
		return
	}
	if ask(function) { // else so many probes wait that this one can wait for the next tick
		v.asked = true
		if p.verdicts == nil {
			p.verdicts = map[string]verdict{}
		}
		p.verdicts[function] = v
	}
}

// answerVerdict notes the answer to a probe. It is dropped if the pool was forgotten meanwhile.
func (p *Pool) answerVerdict(function string, notRunnable bool, now time.Time) {
	last, ok := p.verdicts[function]
	if !ok {
		return
	}
	next := verdict{notRunnable: notRunnable, at: now, since: now}
	if last.notRunnable && notRunnable {
		next.since = last.since
	}
	p.verdicts[function] = next
}

// dropVerdict forgets the verdict on a function that has no backlog to be probed.
func (p *Pool) dropVerdict(function string) {
	if v, ok := p.verdicts[function]; ok && !v.asked {
		delete(p.verdicts, function)
	}
}

// notRunnable reports whether the verdict on a function is so. If workers take jobs, the last of them may have gone just before the probe, so that the job server had
// nothing to give: then the verdict counts once a later answer, that of seen, still shows the backlog.
func (p *Pool) notRunnable(function string, workers bool, seen time.Time) bool {
	v := p.verdicts[function]
	return v.notRunnable && (!workers || seen.After(v.since))
}

// verdictPending reports whether a first verdict on one of the pool's functions is under way.
func (p *Pool) verdictPending() bool {
	for _, v := range p.verdicts {
		if v.asked && v.at.IsZero() {
			return true
		}
	}
	return false
}
