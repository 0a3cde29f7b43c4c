package sampling

import (
	"slices"
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// Pod is a pod or a process of a pool.
type Pod struct {
	Name, UID       string
	Created         time.Time
	ReadySince      time.Time // zero if it is not ready
	Ready, WasReady bool
	Broken          bool // it can't start
	Gated           bool // a scheduling gate blocks it
	Terminating     bool // it is none of the replicas: its jobs are not foreign
}

// Input is the input of a sample of the law.
type Input struct {
	Servers  *backlog.Sample
	Replicas int32
	Rollout  bool
	Pods     []Pod
	// Tick is the time between two decisions; Last is the time of the last one.
	Tick      time.Duration
	Last, Now time.Time
}

// Join joins the job servers' figures with the state of the pods.
func Join(i *Input) scaling.Sample {
	s := i.Servers
	in := scaling.Sample{
		Replicas: i.Replicas, Rollout: i.Rollout, Partial: s.Partial,
		PossibleRestart: s.PossibleRestart.After(i.Last),
		Pods:            joinPods(i.Pods, s, i.Now.Add(-telemetryTicks*max(i.Tick, minTelemetryTick))),
		Functions:       joinFunctions(s.Functions),
	}
	in.Answering, in.Silent = answering(s.Servers)
	if !s.NoAnswerSince.IsZero() {
		in.NoAnswer = max(0, i.Now.Sub(s.NoAnswerSince))
	}

	// Telemetry reports how many slots of a pod are busy, the job servers with which functions.
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

// answering counts the job servers with a fresh answer, and those whose answers are old though
// their workers and clients may still reach them: one that refuses connections is gone, and one
// that never answered has no known queue.
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

func joinFunctions(functions []backlog.FunctionSample) []scaling.FunctionSample {
	out := make([]scaling.FunctionSample, 0, len(functions))
	for _, fn := range functions {
		c := fn.Counters
		out = append(out, scaling.FunctionSample{
			Name: fn.Name, Total: fn.Queued + fn.Running, Running: fn.Running, SilentQueued: fn.SilentQueued,
			LongestQueue: fn.LongestQueue,
			Ended:        c.OK, EndedSeconds: float64(c.OKMillis) / 1000, Failed: c.Failed, Requeued: c.Requeued,
			BusySeconds: float64(c.BusyMillis) / 1000,
		})
	}
	slices.SortFunc(out, func(a, b scaling.FunctionSample) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// telemetryTicks is for how many ticks the last telemetry of a silent pod that isn't ready counts:
// its container may have ended, and the kubelet waits before it restarts it.
const (
	telemetryTicks   = 3
	minTelemetryTick = 5 * time.Second // shorter ticks count as this
)

func joinPods(pods []Pod, s *backlog.Sample, since time.Time) []scaling.PodSample {
	byUID := make(map[string]*backlog.PodSample, len(s.Pods))
	for i := range s.Pods {
		byUID[s.Pods[i].UID] = &s.Pods[i]
	}
	out := make([]scaling.PodSample, 0, len(pods))
	for i := range pods {
		p := &pods[i]
		ps := scaling.PodSample{
			Name: p.Name, Created: p.Created, Ready: p.Ready, WasReady: p.WasReady, Broken: p.Broken, Gated: p.Gated,
			Terminating: p.Terminating,
		}
		if p.Ready {
			ps.Registered = p.ReadySince
		}
		if t := byUID[p.UID]; t != nil && (p.Ready || s.Partial || t.LastSeen.After(since)) {
			ps.Telemetry, ps.Busy, ps.Capacity = true, int32(t.Busy), int32(t.Capacity)
			ps.Registered, ps.TakesNoJobs = t.FirstSeen, t.TakesNoJobs()
		}
		out = append(out, ps)
	}
	return out
}

// Answered reports whether any job server has ever given an answer.
func Answered(s *backlog.Sample) bool {
	return slices.ContainsFunc(s.Servers, func(srv backlog.ServerSample) bool { return !srv.LastGood.IsZero() })
}

// NewestAnswer is when the newest figures of a sample arrived, or when it was taken if there are
// none.
func NewestAnswer(s *backlog.Sample) time.Time {
	var at time.Time
	for i := range s.Servers {
		if t := s.Servers[i].LastGood; t.After(at) {
			at = t
		}
	}
	if at.IsZero() {
		return s.Time
	}
	return at
}
