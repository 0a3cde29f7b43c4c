package controllers

import (
	"hash/maphash"
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// view is the last decision on a pool and what led to it, as far as it is shown or written. There is one for each pool, so it keeps no more than that.
type view struct {
	at                       time.Time
	decision                 scaling.Decision
	minReplicas, maxReplicas int32          // of the policy then
	sample                   backlog.Sample // without its functions
	queued, running          int64          // summed over them
	learnt                   scaling.Learnt
}

// written is what of a view the API server has, or will have once it is the pool's turn to write its status.
type written struct {
	at      time.Time // of the last write
	mark    mark
	figures figures
}

// mark is that part of a view whose change is worth a reconcile.
type mark struct {
	replicas                   int32
	reason                     scaling.Reason
	limited                    scaling.Limit
	notRunnable, notProgessing bool
	servers                    uint64 // a hash of their states
}

// markSeed is for this process's marks.
var markSeed = maphash.MakeSeed()

func markOf(v view) mark {
	m := mark{
		replicas: v.decision.Replicas, reason: v.decision.Reason, limited: v.decision.Limited,
		notRunnable: v.decision.NotRunnable, notProgessing: v.decision.NotProgressing,
	}
	var h maphash.Hash
	h.SetSeed(markSeed)
	var address [64]byte
	for i := range v.sample.Servers {
		s := &v.sample.Servers[i]
		_, _ = h.WriteString(s.Address) // a hash takes whatever it is given
		_, _ = h.Write(s.Resolved.AppendTo(address[:0]))
		_, _ = h.WriteString(string(s.State))
		_ = h.WriteByte(byte(boolToInt(s.LoadBalanced)))
	}
	m.servers = h.Sum64()
	return m
}

// newestAnswer is when the newest figures of a sample came, or when it was taken where there are none.
func newestAnswer(s *backlog.Sample) time.Time {
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

// answered reports whether any job server has ever given an answer.
func answered(s backlog.Sample) bool {
	return slices.ContainsFunc(s.Servers, func(srv backlog.ServerSample) bool { return !srv.LastGood.IsZero() })
}

// asked reports whether the outcome of asking any job server is known.
func asked(s backlog.Sample) bool {
	return slices.ContainsFunc(s.Servers, func(srv backlog.ServerSample) bool { return srv.State != backlog.StateConnecting })
}

// busy is how many slots of a pod work, by telemetry.
func (v *view) busy(uid string) int {
	for _, p := range v.sample.Pods {
		if p.UID == uid {
			return p.Busy
		}
	}
	return 0
}
