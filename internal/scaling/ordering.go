package scaling

import (
	"math"
	"time"
)

// More pods are ordered only if they help. If the last ones can't start, a blocked pod counts like
// a missing one: it is not replaced by another, except for a few that test whether another node is
// better. docs/adr/0016-ordering.md says why.

const (
	// ProvenAfter is how long a pod must have been ready to count as a working one: a crashing pod
	// is ready between crashes.
	ProvenAfter = 30 * time.Second
	// anotherTry is after how long one more pod is tried beside the failing ones.
	anotherTry = 5 * time.Minute
	// giveUpFailing and giveUpUnschedulable are after how long replicas beyond the allowance are
	// given up. The latter is how long the cluster autoscaler waits for a node.
	giveUpFailing       = 5 * time.Minute
	giveUpUnschedulable = 15 * time.Minute
	maxDoublings        = 10
)

// OrderingInput is the input of the ordering rule.
type OrderingInput struct {
	Now time.Time
	// Replicas is the present spec.replicas, Want the law's number, Floor what is ordered in full
	// (the minimum, schedules, Manual, the fallback).
	Replicas, Want, Floor int32
	// Maximum and Template are the user's maxReplicas and a hash of the pod template: when they
	// change, the records of pods that don't start are dropped.
	Maximum  int32
	Template string
	// Start is how long a pod takes to start.
	Start time.Duration
	// Answer is the newest answer of any job server.
	Answer time.Time
	// Refused: the API server rejects pods (a quota, an admission).
	Refused bool
	Pods    []Pod
}

// OrderingState is the state of the rule.
type OrderingState struct {
	Maximum  int32
	Template string
	// Since is when the fields below were last reset.
	Since time.Time
	// Failing are the pods (by UID) that have failed and have not worked since; FailingSince is the
	// earliest such time. The value is true for pods that say nothing about the others any more,
	// since a pod has started after them.
	Failing      map[string]bool
	FailingSince time.Time
	// Waited are the pods that were unschedulable since the allowance was last doubled (Doublings
	// times), and whether they have a node by now.
	Waited    map[string]bool
	Doublings int
	// OverSince is since when more pods are blocked than allowed, RaisedBy the answer with which
	// replicas were last raised.
	OverSince, RaisedBy time.Time
}

// Order is the rule's decision.
type Order struct {
	// Replicas is Want, or fewer if more would not start, or fewer than at present if those beyond
	// can't start.
	Replicas int32
	// Unschedulable, Failing and Refused are how many replicas are blocked for each reason.
	Unschedulable, Failing, Refused int32
	// Limited: more would be ordered if the earlier ones had started. AwaitsPoll: a scale-up waits
	// for a newer poll than the last one.
	Limited, AwaitsPoll bool
}

// Blocked is how many replicas can't start.
func (o *Order) Blocked() int32 { return o.Unschedulable + o.Failing + o.Refused }

// Blocked reports whether a pod can't start, for a reason other than how long starting takes.
func (p *Pod) Blocked(now time.Time, start time.Duration) bool {
	switch {
	case p.Terminating || p.Trouble == TroubleGated:
		return false
	case p.Trouble.reported():
		return true
	case p.proven(now):
		return false
	case p.Trouble != TroubleNone:
		return true
	}
	return !p.Ready && !p.WasReady && now.Sub(p.Created) > startLimit(start)
}

func (p *Pod) proven(now time.Time) bool { return p.Ready && now.Sub(p.ReadySince) >= ProvenAfter }

// startLimit is after how long a pod counts as blocked that is not ready and reports no reason.
func startLimit(start time.Duration) time.Duration { return 4*start + time.Minute }

// census counts a pool's replicas by their condition.
type census struct {
	working, starting, unschedulable, failing, refused, excused int32

	proven      int32 // those of working that have worked for a while
	unreachable int32 // those of failing whose service can't be reached
}

func (c *census) blocked() int32 { return c.unschedulable + c.failing + c.refused }

// OrderReplicas decides how many of the replicas that the law wants are ordered. It takes over the
// given state.
func OrderReplicas(in *OrderingInput, s OrderingState) (Order, OrderingState) {
	if s.Since.IsZero() || s.Template != in.Template || s.Maximum != in.Maximum {
		s = OrderingState{Since: in.Now, Template: in.Template, Maximum: in.Maximum, RaisedBy: s.RaisedBy}
	}
	c := s.count(in)
	s.remember(in, &c)
	o := Order{Replicas: in.Want, Unschedulable: c.unschedulable, Failing: c.failing + c.excused, Refused: c.refused}
	allowed := s.allowance(&c)
	s.grow(in, &c, allowed, &o)
	s.giveUp(in, &c, allowed, &o)
	o.Replicas = max(o.Replicas, min(in.Want, in.Floor))
	o.Limited = o.Limited && o.Replicas < in.Want
	if o.Replicas > in.Replicas {
		s.RaisedBy = in.Answer
	}
	return o, s
}

// count counts the pods by their condition, and records which failed.
func (s *OrderingState) count(in *OrderingInput) census {
	var c census
	failing := map[string]bool(nil)
	number, fresh := int32(0), false
	for i := range in.Pods {
		p := &in.Pods[i]
		if !p.Owned || p.Terminating {
			continue
		}
		number++
		if _, waited := s.Waited[p.UID]; waited && p.Assigned {
			s.Waited[p.UID] = true
		}
		fresh = fresh || !p.Trouble.reported() && p.proven(in.Now) && !p.ReadySince.Before(s.Since)
		switch blocked := p.Blocked(in.Now, in.Start); {
		case blocked && p.Trouble == TroubleUnschedulable:
			c.unschedulable++
			if s.Waited == nil {
				s.Waited = map[string]bool{}
			}
			s.Waited[p.UID] = false
		case blocked || seenFailing(s, p) && !p.proven(in.Now):
			if failing == nil {
				failing = map[string]bool{}
			}
			failing[p.UID] = s.Failing[p.UID]
			if failing[p.UID] {
				c.excused++
			} else {
				c.failing++
				if p.Trouble == TroubleUnreachable {
					c.unreachable++
				}
			}
		case p.Ready:
			c.working++
			if p.proven(in.Now) {
				c.proven++
			}
		default:
			c.starting++
		}
	}
	s.Failing = failing
	if missing := in.Replicas - number; missing > 0 && in.Refused {
		c.refused = missing
	} else if missing > 0 {
		c.starting += missing
	}
	if fresh {
		s.excuse(in, &c)
	}
	return c
}

// excuse drops the records, since a pod has started: the template does not block the others. As many
// as work are excused, the oldest first.
func (s *OrderingState) excuse(in *OrderingInput, c *census) {
	*s = OrderingState{
		Since: in.Now, Template: s.Template, Maximum: s.Maximum, RaisedBy: s.RaisedBy, Failing: s.Failing,
	}
	for i := range in.Pods {
		uid := in.Pods[i].UID
		if excused, failing := s.Failing[uid]; failing && !excused && c.excused < c.working {
			s.Failing[uid] = true
			c.excused, c.failing = c.excused+1, c.failing-1
		}
	}
}

func seenFailing(s *OrderingState, p *Pod) bool {
	_, seen := s.Failing[p.UID]
	return seen
}

// remember records since when pods fail, and doubles the allowance if nodes come for those that
// waited.
func (s *OrderingState) remember(in *OrderingInput, c *census) {
	switch {
	case c.failing == 0:
		s.FailingSince = time.Time{}
	case s.FailingSince.IsZero():
		s.FailingSince = in.Now
	}
	taken := 0
	for _, assigned := range s.Waited {
		if assigned {
			taken++
		}
	}
	if taken > 0 && 2*taken >= len(s.Waited) {
		s.Doublings, s.Waited = min(s.Doublings+1, maxDoublings), nil
	}
	if c.blocked() == 0 {
		s.Doublings = 0
	}
}

// allowance is how many pods may be blocked at a time.
func (s *OrderingState) allowance(c *census) int32 {
	if c.failing+c.refused > 0 {
		if c.proven == 0 { // a pod that has just become ready may be about to fail like the others
			return 2
		}
		return max(3, (c.working+4)/5) // one bad node in ten must not starve the working ones
	}
	return int32(min(int64(max(5, (c.working+1)/2))<<s.Doublings, math.MaxInt32))
}

// grow limits a scale-up to the pods that may help.
func (s *OrderingState) grow(in *OrderingInput, c *census, allowed int32, o *Order) {
	missing := in.Want - in.Replicas
	if missing <= 0 {
		return
	}
	if in.Replicas > 0 && in.Want > in.Floor && !s.RaisedBy.IsZero() && !in.Answer.After(s.RaisedBy) {
		o.Replicas, o.AwaitsPoll = in.Replicas, true
		return
	}
	if c.blocked() == 0 {
		return
	}
	if c.proven == 0 && c.unreachable > 0 {
		o.Replicas, o.Limited = in.Replicas, true // no pod reaches the service
		return
	}
	if c.failing > 0 && c.starting == 0 && in.Now.Sub(s.FailingSince) >= anotherTry {
		// All that are allowed may have met bad nodes: one more is tried, until it is given up.
		// While it starts, it is no reason for a second one.
		allowed++
	}
	growth := max(0, missing-c.blocked()+min(c.failing, s.trials(in, c, allowed)))
	others := c.working + c.starting + c.excused
	if c.failing+c.refused > 0 && c.proven == 0 {
		others = c.excused // the starting ones are the trials
	}
	mostAllowed := max(in.Replicas, others+allowed)
	if n := min(in.Replicas+growth, mostAllowed); n < in.Want {
		o.Replicas, o.Limited = n, true
	}
}

// trials is how many pods are tried beside the failing ones, since another node may work. If others
// have worked for a while, as many as may be blocked; otherwise one, and one more after a while.
func (s *OrderingState) trials(in *OrderingInput, c *census, allowed int32) int32 {
	if c.proven > 0 {
		return allowed
	}
	if in.Now.Sub(s.FailingSince) >= anotherTry {
		return 2
	}
	return 1
}

// giveUp removes the replicas beyond the allowance if none has started for a long time.
func (s *OrderingState) giveUp(in *OrderingInput, c *census, allowed int32, o *Order) {
	blocked := c.blocked() - c.unreachable // those work again once their service does
	if blocked <= allowed {
		s.OverSince = time.Time{}
		return
	}
	if s.OverSince.IsZero() {
		s.OverSince = in.Now
	}
	after := giveUpUnschedulable
	if c.failing+c.refused > 0 {
		after = giveUpFailing
	}
	if n := c.working + c.starting + c.excused + c.unreachable + allowed; in.Now.Sub(s.OverSince) >= after &&
		n < o.Replicas {
		o.Replicas, o.Limited = n, true
	}
}
