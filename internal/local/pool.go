package local

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/boolean"
	"github.com/gearman-operator/gearman-operator/internal/localworker"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
	"github.com/gearman-operator/gearman-operator/internal/sampling"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// pool is the state of one pool. It belongs to the fleet's goroutine.
type pool struct {
	fleet *Fleet
	key   backlog.PoolKey
	owner *os.File // locked
	plan  plan

	replicas  int32 // wanted
	processes []*process
	leaving   bool // it runs no more workers

	state     scaling.State
	ordering  scaling.OrderingState
	last      time.Time // of the last decision
	sample    backlog.Sample
	decision  scaling.Decision
	order     scaling.Order
	min, max  int32
	verdicts  sampling.Verdicts
	outcomes  outcome.Window
	announced string // the last decision that was logged

	crashes   int       // in a row
	restartAt time.Time // no worker is started before
	lastCrash string
}

// provenAfter is how long a worker must have been ready for its crash to count as the first of a
// run.
const provenAfter = 30 * time.Second

// newPool takes ownership of a pool.
func (f *Fleet) newPool(key backlog.PoolKey) (*pool, error) {
	p := &pool{fleet: f, key: key}
	path := p.path("owner")
	var err error
	p.owner, err = localworker.Lock(path, localworker.State{PID: os.Getpid(), Name: key.String(), Started: time.Now()})
	if errors.Is(err, localworker.ErrLocked) {
		other, _, _ := localworker.Read(path) // the process id only helps
		return nil, fmt.Errorf(
			"pool %s is already run by process %d: stop that one first, or give this pool another name or namespace",
			key, other.PID,
		)
	}
	if err != nil {
		return nil, fmt.Errorf("pool %s: %w", key, err)
	}
	p.adopt()
	return p, nil
}

// path is a file of the pool in the state directory.
func (p *pool) path(kind string) string {
	return filepath.Join(p.fleet.o.StateDir, p.key.Namespace+"_"+p.key.Name+"."+kind)
}

// adopt counts workers of an earlier fleet that still run. They finish their jobs and end by
// themselves.
func (p *pool) adopt() {
	paths, _ := filepath.Glob(p.path("*.worker")) // the pattern is valid
	for _, path := range paths {
		s, alive, err := localworker.Read(path)
		if !alive {
			_ = os.Remove(path)
			continue
		}
		if err != nil {
			p.fleet.log.Warn(
				"A worker of an earlier run can't be identified; it is left alone", "file", path, "error", err,
			)
			continue
		}
		p.processes = append(p.processes, &process{
			pool: p, uid: s.UID, name: s.Name, pid: s.PID, created: s.Started, readyAt: s.Started, stopping: true,
			leftover: path,
		})
	}
	if n := len(p.processes); n > 0 {
		p.fleet.log.Info("Workers of an earlier run still finish their jobs", "pool", p.key.String(), "workers", n)
	}
}

// checkLeftovers drops workers of an earlier fleet that have ended.
func (p *pool) checkLeftovers() {
	p.processes = slices.DeleteFunc(p.processes, func(w *process) bool {
		if w.leftover == "" {
			return false
		}
		_, alive, _ := localworker.Read(w.leftover)
		if !alive {
			_ = os.Remove(w.leftover)
		}
		return !alive
	})
}

// use sets the pool's plan.
func (p *pool) use(plan plan) error {
	p.leaving = false
	first := p.plan.hash == ""
	if first {
		p.state = scaling.NewState(scaling.Learnt{}, time.Now())
		// The counters start with the subscription, so all that they count is new.
		p.outcomes.Observe(time.Now(), outcome.Counts{})
	}
	if skipped := strings.Join(plan.skipped, ", "); skipped != strings.Join(p.plan.skipped, ", ") && skipped != "" {
		p.fleet.log.Info(
			"These fields mean nothing without a cluster and are skipped", "pool", p.key.String(), "fields", skipped,
		)
	}
	if !first && plan.hash != p.plan.hash {
		p.fleet.log.Info("The workers' settings have changed: they are replaced one by one", "pool", p.key.String())
		p.crashes, p.restartAt, p.lastCrash = 0, time.Time{}, ""
	}
	p.plan = plan
	return p.subscribe()
}

// subscribe sets the pool's subscription.
func (p *pool) subscribe() error {
	sub := p.plan.sub
	sub.AtZero = p.replicas == 0
	if err := p.fleet.watcher.Set(p.key, sub); err != nil {
		return fmt.Errorf("pool %s: %w", p.key, err)
	}
	p.updatePods()
	return nil
}

// updatePods sets whose telemetry belongs to the pool.
func (p *pool) updatePods() {
	refs := make([]backlog.PodRef, len(p.processes))
	for i, w := range p.processes {
		refs[i] = backlog.PodRef{UID: w.uid, Name: w.name}
	}
	p.fleet.watcher.SetPods(p.key, refs)
}

// leave stops the pool's workers softly.
func (p *pool) stopWorkers() {
	p.leaving = true
	p.replicas = 0
	p.fleet.watcher.Remove(p.key)
	for _, w := range p.processes {
		w.stop()
	}
	// Workers of an earlier run are not waited for.
	p.processes = slices.DeleteFunc(p.processes, func(w *process) bool { return w.leftover != "" })
}

func (p *pool) release() {
	if p.owner != nil {
		_ = os.Remove(p.owner.Name())
		_ = p.owner.Close()
		p.owner = nil
	}
}

// live are the processes that are not stopping, oldest first.
func (p *pool) live() []*process {
	return slices.DeleteFunc(slices.Clone(p.processes), func(w *process) bool { return w.stopping })
}

// act starts and stops processes until the wanted number runs.
func (p *pool) act(now time.Time) {
	if p.leaving {
		return
	}
	live := p.live()
	fresh := slices.DeleteFunc(slices.Clone(live), func(w *process) bool { return w.hash != p.plan.hash })
	old := len(live) - len(fresh)
	surge := 0
	if old > 0 {
		surge = max(1, int(p.replicas)/4)
	}
	for n := len(live); n < int(p.replicas)+surge && len(fresh) < int(p.replicas) && !now.Before(p.restartAt); n++ {
		w, err := p.start(now)
		if err != nil {
			p.crashed(now, err.Error())
			return
		}
		fresh = append(fresh, w)
	}
	p.replaceOld(live, fresh)
}

// replaceOld stops workers of an older plan, as many as there are ready ones of the new one to
// replace them.
func (p *pool) replaceOld(live, fresh []*process) {
	ready := 0
	for _, w := range fresh {
		if !w.readyAt.IsZero() {
			ready++
		}
	}
	var old []*process
	for _, w := range live {
		if w.hash != p.plan.hash {
			old = append(old, w)
		}
	}
	p.sortForRemoval(old)
	for _, w := range old[:min(len(old), max(0, len(old)+ready-int(p.replicas)))] {
		w.stop()
	}
}

// sortForRemoval puts those first whose end does least harm: not ready, then idle for longest, then
// least busy.
func (p *pool) sortForRemoval(processes []*process) {
	slices.SortStableFunc(processes, func(a, b *process) int {
		x, y := p.telemetry(a), p.telemetry(b)
		return cmp.Or(
			cmp.Compare(boolean.Int(!a.readyAt.IsZero()), boolean.Int(!b.readyAt.IsZero())),
			cmp.Compare(x.Busy, y.Busy),
			x.BusySince.Compare(y.BusySince),
		)
	})
}

// telemetry is the last telemetry of a process.
func (p *pool) telemetry(w *process) backlog.PodSample {
	for _, s := range p.sample.Pods {
		if s.UID == w.uid {
			return s
		}
	}
	return backlog.PodSample{}
}

// remove stops up to n workers that may be stopped, and returns how many it stopped.
func (p *pool) remove(n int, forced bool) int {
	live := p.live()
	p.sortForRemoval(live)
	graceful := forced || p.plan.spec.Scaling != nil && p.plan.spec.Scaling.PodRemoval != "" &&
		p.plan.spec.Scaling.PodRemoval != idleOnly
	running := int64(0)
	for _, f := range p.sample.Functions {
		running += f.Running
	}
	removed := 0
	for _, w := range live {
		if removed == n {
			break
		}
		t := p.telemetry(w)
		idle := w.readyAt.IsZero() || !t.LastSeen.IsZero() && t.Busy == 0 || !p.plan.telemetry && running == 0
		// With several slots some job is always running: a worker that finishes its jobs in time
		// may be stopped, too.
		short := p.plan.spec.Concurrency > 1 && p.decision.JobTime > 0 && 10*p.decision.JobTime <= p.plan.drain
		if graceful || idle || short {
			w.stop()
			removed++
		}
	}
	return removed
}

// ended handles the end of a process.
func (p *pool) ended(w *process, err error) {
	p.processes = slices.DeleteFunc(p.processes, func(q *process) bool { return q == w })
	now := time.Now()
	if !w.stopping && !p.leaving {
		if !w.readyAt.IsZero() && now.Sub(w.readyAt) >= provenAfter {
			p.crashes = 0
		}
		why := "it ended by itself"
		if err != nil {
			why = err.Error()
		}
		p.crashed(now, why)
	}
	if p.leaving {
		return
	}
	p.updatePods()
	p.act(now)
}

// crashed delays the next start: 1 s after the first of consecutive crashes, twice that after each
// further one, at most a minute. Workers that crash while a start is delayed count as one crash:
// they were started together.
func (p *pool) crashed(now time.Time, why string) {
	p.lastCrash = why
	if now.Before(p.restartAt) {
		p.fleet.log.Warn(
			"A worker ended", "pool", p.key.String(), "why", why, "crashesInARow", p.crashes,
			"nextStartIn", p.restartAt.Sub(now).String(),
		)
		return
	}
	delay := min(time.Minute, time.Second<<min(p.crashes, 6))
	p.crashes++
	p.restartAt = now.Add(delay)
	p.fleet.log.Warn(
		"A worker ended", "pool", p.key.String(), "why", why, "crashesInARow", p.crashes, "nextStartIn", delay.String(),
	)
	time.AfterFunc(delay, func() {
		p.fleet.post(func() {
			if !p.leaving {
				p.act(time.Now())
			}
		})
	})
}
