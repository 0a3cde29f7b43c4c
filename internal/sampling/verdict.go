package sampling

import (
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

const (
	// stuckTicks is for how many ticks a backlog's jobs must not have been assigned to free slots
	// before it is probed.
	stuckTicks = 3
	// verdictFor is how long a verdict counts.
	verdictFor = 5 * time.Second
	// VerdictWait is how long a pool at zero waits for a first verdict; then it is decided on
	// without one.
	VerdictWait = 250 * time.Millisecond
	// probesOfPool is how many probes of one pool may be under way at the same time.
	probesOfPool = 8
)

// Verdicts are the job servers' verdicts on the backlogs of a pool's functions. The zero value is
// ready to use.
type Verdicts struct {
	of    map[string]verdict
	stuck map[string]int // ticks in which a function's backlog was not assigned to free slots
}

// verdict is whether a job server can assign a function's backlog to a worker.
type verdict struct {
	runnable, notRunnable bool // neither: unknown

	at          time.Time
	since       time.Time // start of the current run of equal verdicts
	requestedAt time.Time // of the probe under way; zero if none is
}

// Probe requests verdicts on backlogs that may not be runnable: any at zero replicas, and those
// that were not assigned to free slots for some ticks. fresh: the job servers have answered since
// the last decision. requestProbe reports whether a verdict will arrive.
func (v *Verdicts) Probe(in *scaling.Sample, fresh bool, now time.Time, requestProbe func(function string) bool) {
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
			delete(v.stuck, f.Name)
			v.drop(f.Name)
		case in.Replicas == 0:
			v.request(f.Name, now, requestProbe)
		case free == 0:
			delete(v.stuck, f.Name)
			v.drop(f.Name)
		default:
			if v.stuck == nil {
				v.stuck = map[string]int{}
			}
			if fresh {
				v.stuck[f.Name]++
			}
			if v.stuck[f.Name] >= stuckTicks {
				v.request(f.Name, now, requestProbe)
			}
		}
	}
}

// request requests a probe of the function unless its verdict is fresh or under way.
func (v *Verdicts) request(function string, now time.Time, requestProbe func(function string) bool) {
	last := v.of[function]
	if !last.requestedAt.IsZero() || v.probing() >= probesOfPool ||
		(!last.at.IsZero() && now.Sub(last.at) < verdictFor) {
		return
	}
	if requestProbe(function) { // otherwise too many probes wait; the next tick tries again
		last.requestedAt = now
		if v.of == nil {
			v.of = map[string]verdict{}
		}
		v.of[function] = last
	}
}

// probing counts the probes under way.
func (v *Verdicts) probing() (n int) {
	for _, one := range v.of {
		if !one.requestedAt.IsZero() {
			n++
		}
	}
	return n
}

// Answer records the verdict of a probe. It is dropped if the function's record was deleted
// meanwhile.
func (v *Verdicts) Answer(function string, answer backlog.Verdict, now time.Time) {
	last, ok := v.of[function]
	if !ok {
		return
	}
	next := verdict{
		runnable: answer == backlog.Runnable, notRunnable: answer == backlog.NotRunnable, at: now, since: now,
	}
	if last.notRunnable && next.notRunnable {
		next.since = last.since
	}
	v.of[function] = next
}

// drop deletes the verdict on a function that has no backlog to probe.
func (v *Verdicts) drop(function string) {
	if last, ok := v.of[function]; ok && last.requestedAt.IsZero() {
		delete(v.of, function)
	}
}

// Fill sets the verdicts in a sample. seen is when the job servers last answered.
func (v *Verdicts) Fill(in *scaling.Sample, seen, now time.Time) {
	for i := range in.Functions {
		f := &in.Functions[i]
		f.NotRunnable = v.notRunnable(f.Name, in.Replicas > 0, seen)
		f.Runnable = v.runnable(f.Name, now)
	}
}

// notRunnable reports whether a function has a negative verdict. If there are workers, they may
// have taken the last job just before the probe, so that none was left: then the verdict counts
// once a later answer, that of seen, still shows the backlog.
func (v *Verdicts) notRunnable(function string, workers bool, seen time.Time) bool {
	last := v.of[function]
	return last.notRunnable && (!workers || seen.After(last.since))
}

// runnable reports whether a function has a positive verdict. It counts as evidence as long as any
// verdict.
func (v *Verdicts) runnable(function string, now time.Time) bool {
	last := v.of[function]
	return last.runnable && now.Sub(last.at) < 2*verdictFor // until the next one arrives
}

// Pending reports whether a first verdict on one of the pool's functions is under way and worth
// waiting for.
func (v *Verdicts) Pending(now time.Time) bool {
	for _, one := range v.of {
		if !one.requestedAt.IsZero() && one.at.IsZero() && now.Sub(one.requestedAt) < VerdictWait {
			return true
		}
	}
	return false
}

// Empty reports whether there is no state.
func (v *Verdicts) Empty() bool { return v.of == nil && v.stuck == nil }
