package poolstatus

import (
	"net/netip"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// TestMarkOfServers: every property of a job server that a pool's status or conditions show changes
// the mark.
func TestMarkOfServers(t *testing.T) {
	t.Parallel()
	base := backlog.ServerSample{
		Address: "jobs:4730", Resolved: netip.MustParseAddrPort("10.0.0.1:4730"), State: backlog.StateOK,
	}
	of := func(mutate func(*backlog.ServerSample)) Mark {
		s := base
		mutate(&s)
		return MarkOf(&View{Sample: backlog.Sample{Servers: []backlog.ServerSample{s}}})
	}
	same := of(func(s *backlog.ServerSample) { s.LastGood = time.Unix(1_700_000_000, 0) })
	if same != of(func(*backlog.ServerSample) {}) {
		t.Error("a newer answer alone makes another mark")
	}
	for name, mutate := range map[string]func(*backlog.ServerSample){
		"address":       func(s *backlog.ServerSample) { s.Resolved = netip.MustParseAddrPort("10.0.0.2:4730") },
		"state":         func(s *backlog.ServerSample) { s.State = backlog.StateTimedOut },
		"load balanced": func(s *backlog.ServerSample) { s.LoadBalanced = true },
	} {
		if of(mutate) == same {
			t.Errorf("another %s makes no other mark", name)
		}
	}
}

// TestMarkOfDecision: whatever of a decision decides about a condition makes another mark.
func TestMarkOfDecision(t *testing.T) {
	t.Parallel()
	base := MarkOf(&View{})
	for name, v := range map[string]View{
		"replicas":              {Decision: scaling.Decision{Replicas: 1}},
		"reason":                {Decision: scaling.Decision{Reason: scaling.ReasonIdle}},
		"limit":                 {Decision: scaling.Decision{Limited: scaling.LimitMaximum}},
		"jobs that can't start": {Decision: scaling.Decision{NotRunnable: true}},
		"jobs that don't end":   {Decision: scaling.Decision{NotProgressing: true}},
		"unknown pods are idle": {Decision: scaling.Decision{IdleUnknown: true}},
		"jobs fail":             {Failing: true},
		"pods start too slowly": {SlowStart: true},
	} {
		if MarkOf(&v) == base {
			t.Errorf("%s: the mark is that of no decision", name)
		}
	}
}
