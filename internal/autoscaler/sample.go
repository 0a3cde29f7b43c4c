package autoscaler

import (
	"slices"
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// scalingSample joins what the job servers say with what the API server says. last is when the previous decision was taken,
// tick the time between two.
func scalingSample(o *Observed, kind scaling.WorkloadKind, s backlog.Sample, tick time.Duration, last, now time.Time) scaling.Sample {
	in := scaling.Sample{
		Replicas: o.Workload.Replicas, Rollout: o.Workload.Unsettled, Partial: s.Partial,
		PossibleRestart: s.PossibleRestart.After(last),
		Pods:            scalingPods(o, kind, s, now.Add(-forgetTelemetry*max(tick, forgetTick))),
		Functions:       scalingFunctions(s.Functions),
	}
	in.Answering, in.Silent = answering(s.Servers)
	if !s.NoAnswerSince.IsZero() {
		in.NoAnswer = max(0, now.Sub(s.NoAnswerSince))
	}

	// Telemetry says how many slots of a pod are busy, the job servers say with which functions.
	var busy, draining int64
	for _, p := range in.Pods {
		if p.Terminating {
			draining += int64(p.Busy)
		} else {
			busy += int64(p.Busy)
		}
	}
	running := make([]int64, len(in.Functions))
	for i, fn := range in.Functions {
		running[i] = fn.Running
	}
	for i, n := range backlog.Apportion(busy, running) {
		in.Functions[i].Busy = n
	}
	for i, n := range backlog.Apportion(draining, running) {
		in.Functions[i].Draining = n
	}
	return in
}

// answering counts the job servers with a fresh answer, and those whose answers are old though their workers and clients may still reach them: one that refuses
// connections is gone, and one that never answered tells of no queue.
func answering(servers []backlog.ServerSample) (fresh, silent int32) {
	for _, s := range servers {
		switch {
		case s.Fresh:
			fresh++
		case !s.LeftOut && s.Resolved.IsValid() && !s.LastGood.IsZero() && s.State != backlog.StateRefused:
			silent++
		}
	}
	return fresh, silent
}

func scalingFunctions(functions []backlog.FunctionSample) []scaling.FunctionSample {
	out := make([]scaling.FunctionSample, 0, len(functions))
	for _, fn := range functions {
		c := fn.Counters
		out = append(out, scaling.FunctionSample{
			Name: fn.Name, Total: fn.Queued + fn.Running, Running: fn.Running, SilentQueued: fn.SilentQueued, LongestQueue: fn.LongestQueue,
			Ended: c.OK, EndedSeconds: float64(c.OKMillis) / 1000, Failed: c.Failed, Requeued: c.Requeued, BusySeconds: float64(c.BusyMillis) / 1000,
		})
	}
	slices.SortFunc(out, func(a, b scaling.FunctionSample) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// forgetTelemetry is for how many ticks a pod that isn't ready may be silent before what it told last no longer counts: its container has ended, say, and the
// kubelet waits before it starts it again.
const (
	forgetTelemetry = 3
	forgetTick      = 5 * time.Second // of a shorter tick as many as make this
)

func scalingPods(o *Observed, kind scaling.WorkloadKind, s backlog.Sample, toldSince time.Time) []scaling.PodSample {
	if kind != scaling.KindOwned && len(o.Pods) == 0 {
		// None of the target's pods has been seen yet: there are only the numbers.
		pods := make([]scaling.PodSample, max(0, o.Workload.Current))
		for i := range pods {
			pods[i].Ready = int32(i) < o.Workload.Ready
		}
		return pods
	}
	byUID := make(map[string]*backlog.PodSample, len(s.Pods))
	for i := range s.Pods {
		byUID[s.Pods[i].UID] = &s.Pods[i]
	}
	pods := make([]scaling.PodSample, 0, len(o.Pods))
	for _, p := range o.Pods {
		ps := scaling.PodSample{
			Name: p.Name, Created: p.Created, Ready: p.Ready, WasReady: p.Ready || p.Marks.WasReady, Broken: p.Trouble != "", Gated: p.Marks.Gated,
			Terminating: p.Terminating || p.Marks.Unowned, // it is none of the replicas; what it works on is not somebody else's
		}
		if p.Ready {
			ps.Registered = p.ReadySince
		}
		if t := byUID[p.UID]; t != nil && (p.Ready || s.Partial || t.LastSeen.After(toldSince)) {
			ps.Telemetry, ps.Busy, ps.Capacity = true, int32(t.Busy), int32(t.Capacity)
			ps.Registered, ps.TakesNoJobs = t.FirstSeen, t.TakesNoJobs()
		}
		pods = append(pods, ps)
	}
	return pods
}
