package poolstatus

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

func TestConditions(t *testing.T) {
	t.Parallel()
	ok := backlog.ServerSample{Address: "a:4730", State: backlog.StateOK}
	bad := backlog.ServerSample{
		Address: "b:4730", State: backlog.StateRefused, Resolved: netip.MustParseAddrPort("10.0.0.1:4730"),
	}
	balanced := backlog.ServerSample{Address: "c:4730", State: backlog.StateOK, LoadBalanced: true}
	auto := func(servers ...backlog.ServerSample) Facts {
		return Facts{Generation: 7, Mode: v1alpha1.ModeAuto, View: View{Sample: backlog.Sample{Servers: servers}}}
	}
	with := func(f Facts, mutate func(*Facts)) Facts { mutate(&f); return f }
	blocked := func(why scaling.RemovalReason, target bool) func(*Facts) {
		return func(f *Facts) { f.Removal, f.IsTarget = scaling.Removal{Blocked: true, Reason: why}, target }
	}
	quiet := map[string]string{
		"Ready": "True AsExpected", "Reconciling": "False AsExpected", "Stalled": "False AsExpected",
		"JobServersReachable": "True AllAnswer",
		"ScalingActive":       "True AsExpected", "ScalingLimited": "False AsExpected",
		"BacklogNotRunnable":    "False AsExpected",
		"BacklogNotProgressing": "False AsExpected", "FunctionShared": "False AsExpected",
		"ScaleDownBlocked": "False AsExpected", "ForeignPods": "False AsExpected",
		"TooManyJobServers": "False AsExpected", "JobsFailing": "False AsExpected",
		"TargetBelowStartTime": "False AsExpected",
		"WorkersUnfit":         "False AsExpected", "TerminatingPodsTakeJobs": "False AsExpected",
		"SidecarsStopFirst": "False AsExpected",
	}
	tests := map[string]struct {
		facts Facts
		want  map[string]string // the differences from quiet
	}{
		"all well": {auto(ok), nil},
		"not polled": {auto(backlog.ServerSample{Address: "a:4730", State: backlog.StateConnecting}), map[string]string{
			"Ready": "Unknown NotYetPolled", "JobServersReachable": "Unknown NotYetPolled",
			"ScalingActive": "False NotYetPolled",
		}},
		"one silent": {auto(ok, bad), map[string]string{"JobServersReachable": "False SomeDoNotAnswer"}},
		"none answer": {
			auto(bad),
			map[string]string{
				"Ready": "False NoneAnswers", "JobServersReachable": "False NoneAnswers",
				"ScalingActive": "False NoneAnswers",
			},
		},
		"load balanced": {
			auto(ok, balanced),
			map[string]string{"Ready": "False LoadBalanced", "JobServersReachable": "False LoadBalanced"},
		},
		"load balanced, one silent": {
			auto(balanced, bad), map[string]string{"JobServersReachable": "False SomeDoNotAnswer"},
		},
		"stalled": {with(
			auto(ok), func(f *Facts) { f.Stall = Stall{Reason: "InvalidScaling", Message: "m"} },
		), map[string]string{
			"Ready": "False InvalidScaling", "Stalled": "True InvalidScaling", "ScalingActive": "False InvalidScaling",
		}},
		"goes on by the last good spec": {with(
			auto(ok), func(f *Facts) { f.Stall = Stall{Reason: "InvalidScaling", Message: "m", KeepsRunning: true} },
		), map[string]string{
			"Ready": "False InvalidScaling", "Stalled": "True InvalidScaling",
		}},
		"rollout": {
			with(auto(ok), func(f *Facts) { f.RollingOut = true }),
			map[string]string{"Ready": "False Rollout", "Reconciling": "True Rollout"},
		},
		"no pod starts": {
			with(auto(ok), func(f *Facts) { f.Trouble, f.NoWorker = workload.TroubleImage, true }),
			map[string]string{"Ready": "False PodsNotStarting"},
		},
		"some start": {with(auto(ok), func(f *Facts) { f.Trouble = workload.TroubleImage }), nil},
		"a rollout whose pods don't start": {with(
			auto(ok), func(f *Facts) { f.Trouble, f.RollingOut = workload.TroubleImage, true },
		), map[string]string{
			"Ready": "False PodsNotStarting", "Reconciling": "True Rollout",
		}},
		"paused": {
			with(auto(ok), func(f *Facts) { f.Mode = v1alpha1.ModePaused }),
			map[string]string{"ScalingActive": "False Paused"},
		},
		"contested": {
			with(auto(ok), func(f *Facts) { f.Contested = true }),
			map[string]string{"ScalingActive": "False Contested"},
		},
		"limited": {
			with(auto(ok), func(f *Facts) { f.View.Decision.Limited = scaling.LimitMaximum }),
			map[string]string{"ScalingLimited": "True TooManyReplicas"},
		},
		"held back": {
			with(auto(ok), func(f *Facts) { f.HeldBack = true }),
			map[string]string{"ScalingLimited": "True PodsBlocked"},
		},
		"held back before the maximum": {with(
			auto(ok), func(f *Facts) { f.HeldBack, f.View.Decision.Limited = true, scaling.LimitMaximum },
		), map[string]string{
			"ScalingLimited": "True PodsBlocked",
		}},
		"pods that don't stop": {with(
			auto(ok), func(f *Facts) { f.View.Sample.TerminatingTakeJobs = []string{"a"} },
		), map[string]string{
			"TerminatingPodsTakeJobs": "True NotStopping",
		}},
		"plain sidecars": {with(auto(ok), func(f *Facts) { f.Sidecars = []string{"proxy"} }), map[string]string{
			"SidecarsStopFirst": "True StopWithWorker",
		}},
		"stuck": {with(
			auto(ok), func(f *Facts) { f.View.Decision.NotRunnable, f.View.Decision.NotProgressing = true, true },
		), map[string]string{
			"BacklogNotRunnable": "True NotRunnable", "BacklogNotProgressing": "True NoJobCompletes",
		}},
		"too many": {
			with(auto(ok), func(f *Facts) { f.View.Sample.Excess.Pool = true }),
			map[string]string{"TooManyJobServers": "True BeyondLimit"},
		},
		"too many queues": {
			with(auto(ok), func(f *Facts) { f.View.Sample.Excess.Queues = true }),
			map[string]string{"TooManyJobServers": "True BeyondLimit"},
		},
		"unowned pods": {
			with(auto(ok), func(f *Facts) { f.Unowned = true }), map[string]string{"ForeignPods": "True NotOwned"},
		},
		"a busy target": {
			with(auto(ok), blocked(scaling.RemovalBusy, true)), map[string]string{"ScaleDownBlocked": "True Busy"},
		},
		"a target's pods that tell nothing": {
			with(auto(ok), blocked(scaling.RemovalUnknown, true)),
			map[string]string{"ScaleDownBlocked": "True Unknown"},
		},
		"pods that tell nothing, some of which are idle": {
			with(auto(ok), func(f *Facts) { f.View.Decision.IdleUnknown = true }),
			map[string]string{"ScaleDownBlocked": "True Unknown"},
		},
		"a pod that isn't ready and may work": {
			with(auto(ok), blocked(scaling.RemovalUnready, false)),
			map[string]string{"ScaleDownBlocked": "True UnreadyPod"},
		},
		"pods of its own that are busy": {with(auto(ok), blocked(scaling.RemovalBusy, false)), nil},
		"not for long": {
			with(auto(ok), func(f *Facts) { f.Removal.Reason = scaling.RemovalUnready }), nil,
		},
		"shared": {
			with(auto(ok), func(f *Facts) { f.Shared = []string{"other"} }),
			map[string]string{"FunctionShared": "True SharedWithPools"},
		},
		"jobs fail": {
			with(auto(ok), func(f *Facts) { f.View.Failing = true }),
			map[string]string{"JobsFailing": "True MostJobsFail"},
		},
		"some pods have no command": {with(auto(ok), func(f *Facts) {
			f.View.Sample.Pods = []backlog.PodSample{
				{Name: "a"},
				{Name: "b", Trouble: telemetry.TroubleStart},
				{Name: "c", Trouble: telemetry.TroubleUnreachable},
			}
		}), map[string]string{"WorkersUnfit": "True JobsNotStarting"}},
		"no pod reaches the service": {with(auto(ok), func(f *Facts) {
			f.View.Decision.Replicas = 2
			f.View.Sample.Pods = []backlog.PodSample{
				{Name: "a", Trouble: telemetry.TroubleUnreachable}, {Name: "b", Trouble: telemetry.TroubleUnreachable},
			}
		}), map[string]string{"Ready": "False ServiceUnreachable", "WorkersUnfit": "True ServiceUnreachable"}},
		"slow start": {
			with(auto(ok), func(f *Facts) { f.View.SlowStart = true }),
			map[string]string{"TargetBelowStartTime": "True PodsStartSlowly"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var conditions []metav1.Condition
			setConditions(&conditions, &tt.facts)
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

// TestReachabilityNamesTheSilent: the message names the job servers that do not answer, in a stable
// order.
func TestReachabilityNamesTheSilent(t *testing.T) {
	t.Parallel()
	_, _, message := reachability(&View{Sample: backlog.Sample{Servers: []backlog.ServerSample{
		{Address: "z:1", State: backlog.StateTimedOut},
		{Address: "b:1", State: backlog.StateRefused, Resolved: netip.MustParseAddrPort("10.0.0.1:1")},
		{Address: "ok:1", State: backlog.StateOK},
	}}})
	if want := "the pool does not scale down while a job server is silent: b:1 (10.0.0.1:1): Refused, z:1: TimedOut"; message != want {
		t.Errorf("got %q, want %q", message, want)
	}
}

// TestMessagesOfHostilePools: the message about a job server that no rule lists says only whether
// it answers, and is bounded, however many don't.
func TestMessagesOfHostilePools(t *testing.T) {
	t.Parallel()
	var servers []backlog.ServerSample
	for i := range 300 {
		servers = append(
			servers,
			backlog.ServerSample{Address: fmt.Sprintf("%03d:1", i), State: backlog.StateRefused, Unlisted: true},
		)
	}
	_, _, message := reachability(&View{Sample: backlog.Sample{Servers: servers}})
	if strings.Contains(message, "Refused") || !strings.Contains(message, "000:1: NoAnswer") ||
		!strings.HasSuffix(message, "009:1: NoAnswer, and others") {
		t.Error(message)
	}
	f := Facts{View: View{At: time.Unix(1, 0), Sample: backlog.Sample{Servers: servers}}}
	status := Build(&v1alpha1.GearmanWorkerPoolStatus{}, &f)
	if len(status.Servers) != maxServers || status.Servers[0].State != "NoAnswer" {
		t.Errorf("%d job servers in the status, the first %+v", len(status.Servers), status.Servers[0])
	}
	for e, want := range map[backlog.Excess]string{
		{Addresses: true}:                  "a name in servers",
		{Pool: true}:                       "--max-job-servers-per-pool",
		{Namespace: true}:                  "--max-job-servers-per-namespace",
		{Addresses: true, Namespace: true}: "are used; the namespace",
	} {
		if m := excessMessage(e); !strings.Contains(m, want) {
			t.Errorf("%+v: %s", e, m)
		}
	}
}
