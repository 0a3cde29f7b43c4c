package local

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/page"
	"github.com/gearman-operator/gearman-operator/internal/policy"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// publish makes the state visible to other goroutines.
func (f *Fleet) publish() {
	s := page.Snapshot{At: time.Now()}
	servers := map[string]page.Server{}
	for _, p := range f.pools {
		s.Pools = append(s.Pools, p.show())
		for _, server := range p.sample.Servers {
			shown := page.Server{Address: serverName(&server), State: string(server.State), Answer: server.LastGood}
			if other, ok := servers[shown.Address]; !ok || other.Answer.Before(shown.Answer) {
				servers[shown.Address] = shown
			}
		}
	}
	for _, server := range servers {
		s.Servers = append(s.Servers, server)
	}
	s.Functions = f.functions(s.At)
	slices.SortFunc(s.Pools, func(a, b page.Pool) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	slices.SortFunc(s.Servers, func(a, b page.Server) int { return strings.Compare(a.Address, b.Address) })
	f.snapshot.Store(&s)
}

// functions are the figures of the pools' functions, summed over the job servers.
func (f *Fleet) functions(now time.Time) []page.Function {
	var all []page.Function
	found, _ := f.watcher.Functions(functionsShown, now)
	slices.SortFunc(found, func(a, b backlog.FunctionStats) int { return strings.Compare(a.Name, b.Name) })
	for i := range found {
		g := &found[i]
		if len(all) == 0 || all[len(all)-1].Name != g.Name {
			all = append(all, page.Function{Name: g.Name})
		}
		sum := &all[len(all)-1]
		sum.Queued += g.Queued
		sum.Running += max(0, g.Running)
		sum.Workers = int32(min(int64(sum.Workers)+g.Workers, math.MaxInt32))
	}
	return all
}

// functionsShown bounds the functions of the page, on each job server.
const functionsShown = 2000

func serverName(s *backlog.ServerSample) string {
	if !s.Resolved.IsValid() || strings.Contains(s.Address, s.Resolved.Addr().String()) {
		return s.Address
	}
	return s.Address + " (" + s.Resolved.String() + ")"
}

func (p *pool) show() page.Pool {
	d := &p.decision
	out := page.Pool{
		Namespace: p.key.Namespace, Name: p.key.Name, Functions: policy.Functions(&p.plan.spec),
		Servers:     p.plan.sub.Servers,
		WaitSeconds: d.OldestWait.Seconds(), TargetSeconds: d.Terms.Target, JobSeconds: d.JobTime.Seconds(),
		StartSeconds: d.Terms.Boot,
		Replicas:     p.replicas, Desired: d.Replicas, Min: p.min, Max: p.max,
		Reason: string(d.Reason), Message: d.Message, Limited: string(d.Limited), Partial: p.sample.Partial,
		Stuck: d.NotRunnable,
		Terms: d.Terms.ByKey(), Workers: []page.Worker{},
	}
	for _, f := range p.sample.Functions {
		out.Queued += f.Queued
		out.Running += max(0, f.Running)
	}
	jobs := p.outcomes.Total()
	out.Completed, out.Failed, out.Requeued = jobs.Completed, jobs.AllFailed(), jobs.Requeued
	out.Results = p.outcomes.Functions()
	out.Mode, out.Runtime = string(policy.Mode(&p.plan.spec)), p.plan.mode
	if p.plan.spec.Runtime == nil {
		out.Runtime = "none"
	}
	for _, w := range p.processes {
		shown := p.showWorker(w)
		if shown.State != "starting" && shown.State != "draining" {
			out.Ready++
		}
		out.Workers = append(out.Workers, shown)
	}
	out.Problems = p.problems(&out)
	return out
}

func (p *pool) showWorker(w *process) page.Worker {
	t := p.telemetry(w)
	shown := page.Worker{Name: w.name, Busy: int32(t.Busy), Capacity: int32(t.Capacity), Since: w.created}
	switch {
	case w.stopping:
		shown.State = "draining"
	case w.readyAt.IsZero():
		shown.State = "starting"
	case t.LastSeen.IsZero():
		shown.State = "ready"
	case t.Busy > 0:
		shown.State = "busy"
	default:
		shown.State = "idle"
	}
	return shown
}

// problems returns what is wrong with a pool, and how to fix it.
func (p *pool) problems(shown *page.Pool) []string {
	var all []string
	for _, s := range p.sample.Servers {
		if !s.Fresh && s.State != backlog.StateConnecting {
			all = append(
				all,
				fmt.Sprintf(
					"Job server %s does not answer (%s): start it, or fix spec.servers.", serverName(&s), s.State,
				),
			)
		}
	}
	if p.lastCrash != "" && p.crashes > 0 {
		all = append(
			all,
			fmt.Sprintf(
				"Workers end by themselves (%d times in a row, last: %s): look at their log.", p.crashes, p.lastCrash,
			),
		)
	}
	if p.decision.NotRunnable {
		all = append(all, "Jobs are queued that the job servers give to no worker: they are delayed or canceled.")
	}
	if p.decision.NotProgressing {
		all = append(
			all,
			"Jobs are running but none has completed for a long time: look at the workers' log for a job that always fails.",
		)
	}
	if p.outcomes.Failing() {
		all = append(all, "Many more jobs fail than usual: look at the workers' log.")
	}
	if p.decision.Limited == scaling.LimitMaximum && shown.TargetSeconds > 0 &&
		shown.WaitSeconds > shown.TargetSeconds {
		all = append(all, "Jobs wait for longer than the target, and the pool is at its maximum: raise maxReplicas.")
	}
	return all
}
