package poolstatus

import (
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// View is the last decision on a pool and its inputs, as far as they are shown or written. There is
// one for each pool, so it keeps no more than that.
type View struct {
	At                       time.Time
	Decision                 scaling.Decision
	MinReplicas, MaxReplicas int32          // of the policy then
	Sample                   backlog.Sample // without its functions and queues
	Queued, Running          int64          // summed over them
	Learnt                   scaling.Learnt

	LastHour, JobsTotal outcome.Counts           // how jobs ended in the last hour, and since the pool is watched
	Functions           []outcome.FunctionCounts // JobsTotal by function; never changed
	Failing             bool                     // more jobs fail than usual
	TargetWait          time.Duration            // of the policy then; 0 if the pool scales by jobsPerReplica alone
	Starts              *Starts                  // nil if no job has started by telemetry
	SlowStart           bool                     // pods take longer to start than TargetWait
}

// Starts are the jobs that started in the last hour, and since the pool is watched. They are never
// changed.
type Starts struct {
	LastHour, Total outcome.Started
}

// NewView returns the view of a decision on a sample.
func NewView(at time.Time, d scaling.Decision, p scaling.Policy, sample backlog.Sample, learnt scaling.Learnt) View {
	v := View{At: at, Decision: d, MinReplicas: p.MinReplicas, MaxReplicas: p.MaxReplicas, Learnt: learnt}
	for _, f := range sample.Functions {
		v.Queued += f.Queued
		v.Running += max(0, f.Running)
	}
	sample.Functions, sample.Queues = nil, nil
	v.Sample = sample
	return v
}

// Polled reports whether any job server has been polled, with or without success.
func (v *View) Polled() bool {
	return slices.ContainsFunc(
		v.Sample.Servers, func(s backlog.ServerSample) bool { return s.State != backlog.StateConnecting },
	)
}

// Mark is the part of a view whose change is worth a reconcile.
type Mark struct {
	replicas                    int32
	reason                      scaling.Reason
	limited                     scaling.Limit
	notRunnable, notProgressing bool
	idleUnknown                 bool
	failing, slowStart          bool
	excess                      backlog.Excess
	broken                      uint64 // hash of the pods that take no jobs
	unstopped                   uint64 // hash of the terminating pods that take some
	servers                     uint64 // hash of their states
}

// MarkOf returns the mark of a view.
func MarkOf(v *View) Mark {
	m := Mark{
		replicas: v.Decision.Replicas, reason: v.Decision.Reason, limited: v.Decision.Limited,
		notRunnable: v.Decision.NotRunnable, notProgressing: v.Decision.NotProgressing,
		idleUnknown: v.Decision.IdleUnknown, failing: v.Failing, slowStart: v.SlowStart, excess: v.Sample.Excess,
	}
	m.broken, m.unstopped = hashOf(podsWithoutJobs(&v.Sample)), hashOf(v.Sample.TerminatingTakeJobs)
	h := fnv.New64a()
	var buffer [128]byte
	for i := range v.Sample.Servers {
		s := &v.Sample.Servers[i]
		b := append(buffer[:0], s.Address...)
		b = append(s.Resolved.AppendTo(append(b, 0)), 0)
		b = append(append(b, s.Reported()...), 0)
		if s.LoadBalanced {
			b = append(b, 1)
		}
		_, _ = h.Write(b) // a hash takes whatever it is given
	}
	m.servers = h.Sum64()
	return m
}

// hashOf is a hash of a list of names; the same for each empty list.
func hashOf(names []string) uint64 {
	h := fnv.New64a()
	for _, name := range names {
		_, _ = h.Write(append([]byte(name), 0)) // a hash takes whatever it is given
	}
	return h.Sum64()
}

// ServerName is how a job server is shown: as written, and as resolved if that adds information.
func ServerName(s *backlog.ServerSample) string {
	if !s.Resolved.IsValid() || strings.Contains(s.Address, s.Resolved.Addr().String()) {
		return s.Address
	}
	return s.Address + " (" + s.Resolved.String() + ")"
}
