package controllers

import (
	"maps"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

func TestConditions(t *testing.T) {
	t.Parallel()
	ok := backlog.ServerSample{Address: "a:4730", State: backlog.StateOK}
	bad := backlog.ServerSample{Address: "b:4730", State: backlog.StateRefused, Resolved: netip.MustParseAddrPort("10.0.0.1:4730")}
	balanced := backlog.ServerSample{Address: "c:4730", State: backlog.StateOK, LoadBalanced: true}
	auto := func(servers ...backlog.ServerSample) facts {
		return facts{mode: v1alpha1.ModeAuto, polled: true, servers: servers}
	}
	with := func(f facts, mutate func(*facts)) facts { mutate(&f); return f }
	quiet := map[string]string{
		"Ready": "True AsExpected", "Reconciling": "False AsExpected", "Stalled": "False AsExpected", "JobServersReachable": "True AllAnswer",
		"ScalingActive": "True AsExpected", "ScalingLimited": "False AsExpected", "BacklogNotRunnable": "False AsExpected",
		"BacklogNotProgressing": "False AsExpected", "FunctionShared": "False AsExpected",
	}
	tests := map[string]struct {
		facts facts
		want  map[string]string // what differs from quiet
	}{
		"all well": {auto(ok), nil},
		"not polled": {with(auto(ok), func(f *facts) { f.polled = false }), map[string]string{
			"Ready": "Unknown NotYetPolled", "JobServersReachable": "Unknown NotYetPolled", "ScalingActive": "False NotYetPolled",
		}},
		"one silent":                {auto(ok, bad), map[string]string{"JobServersReachable": "False SomeDoNotAnswer"}},
		"none answer":               {auto(bad), map[string]string{"Ready": "False NoneAnswers", "JobServersReachable": "False NoneAnswers", "ScalingActive": "False NoneAnswers"}},
		"load balanced":             {auto(ok, balanced), map[string]string{"Ready": "False LoadBalanced", "JobServersReachable": "False LoadBalanced"}},
		"load balanced, one silent": {auto(balanced, bad), map[string]string{"JobServersReachable": "False SomeDoNotAnswer"}},
		"stalled": {with(auto(ok), func(f *facts) { f.stall = stall{"InvalidScaling", "m"} }), map[string]string{
			"Ready": "False InvalidScaling", "Stalled": "True InvalidScaling", "ScalingActive": "False InvalidScaling",
		}},
		"rollout":       {with(auto(ok), func(f *facts) { f.rollout = true }), map[string]string{"Ready": "False Rollout", "Reconciling": "True Rollout"}},
		"no pod starts": {with(auto(ok), func(f *facts) { f.trouble, f.noWorker = troubleImage, true }), map[string]string{"Ready": "False PodsNotStarting"}},
		"some start":    {with(auto(ok), func(f *facts) { f.trouble = troubleImage }), nil},
		"a rollout whose pods don't start": {with(auto(ok), func(f *facts) { f.trouble, f.rollout = troubleImage, true }), map[string]string{
			"Ready": "False PodsNotStarting", "Reconciling": "True Rollout",
		}},
		"paused":    {with(auto(ok), func(f *facts) { f.mode = v1alpha1.ModePaused }), map[string]string{"ScalingActive": "False Paused"}},
		"contested": {with(auto(ok), func(f *facts) { f.contested = true }), map[string]string{"ScalingActive": "False Contested"}},
		"limited":   {with(auto(ok), func(f *facts) { f.decision.Limited = scaling.LimitMaximum }), map[string]string{"ScalingLimited": "True TooManyReplicas"}},
		"stuck": {with(auto(ok), func(f *facts) { f.decision.NotRunnable, f.decision.NotProgressing = true, true }), map[string]string{
			"BacklogNotRunnable": "True NotHandedOut", "BacklogNotProgressing": "True NoJobEndsWell",
		}},
		"shared": {with(auto(ok), func(f *facts) { f.shared = []string{"other"} }), map[string]string{"FunctionShared": "True SharedWithPools"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var conditions []metav1.Condition
			setConditions(&conditions, 7, tt.facts)
			got := map[string]string{}
			for _, c := range conditions {
				got[c.Type] = string(c.Status) + " " + c.Reason
				if c.ObservedGeneration != 7 {
					t.Errorf("%s: observedGeneration %d, want 7", c.Type, c.ObservedGeneration)
				}
			}
			want := map[string]string{}
			maps.Copy(want, quiet)
			maps.Copy(want, tt.want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestReachabilityNamesTheSilent: the message names who does not answer, in a stable order.
func TestReachabilityNamesTheSilent(t *testing.T) {
	t.Parallel()
	_, _, message := reachability([]backlog.ServerSample{
		{Address: "z:1", State: backlog.StateTimedOut},
		{Address: "b:1", State: backlog.StateRefused, Resolved: netip.MustParseAddrPort("10.0.0.1:1")},
		{Address: "ok:1", State: backlog.StateOK},
	}, true)
	if want := "nothing shrinks while a job server is silent: b:1 (10.0.0.1:1): Refused, z:1: TimedOut"; message != want {
		t.Errorf("got %q, want %q", message, want)
	}
}
