package autoscaler

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

func TestScalingSample(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ago := func(s int) time.Time { return now.Add(-time.Duration(s) * time.Second) }
	server := func(state backlog.State, fresh bool, lastGood time.Time) backlog.ServerSample {
		return backlog.ServerSample{
			Resolved: netip.MustParseAddrPort("10.0.0.1:4730"), State: state, Fresh: fresh, LastGood: lastGood,
		}
	}
	leftOut := server(backlog.StateTimedOut, false, ago(4000))
	leftOut.LeftOut = true
	unresolved := server(backlog.StateUnresolved, false, ago(40))
	unresolved.Resolved = netip.AddrPort{}
	busy := func(uid string, n int, lastSeen time.Time) backlog.PodSample {
		return backlog.PodSample{
			UID: uid, Busy: n, Capacity: 4, BusySince: ago(9), FirstSeen: ago(90), LastSeen: lastSeen,
		}
	}
	tests := map[string]struct {
		o      Observed
		kind   scaling.WorkloadKind
		sample backlog.Sample
		last   time.Time
		want   scaling.Sample
	}{
		"job servers that answer, that don't, that are gone and that were given up": {
			sample: backlog.Sample{
				Partial: true, PossibleRestart: ago(3),
				Servers: []backlog.ServerSample{
					server(backlog.StateOK, true, ago(1)), server(backlog.StateOK, true, ago(2)),
					server(backlog.StateClosed, true, ago(9)),
					server(backlog.StateTimedOut, false, ago(40)), server(backlog.StateRefused, false, ago(40)),
					server(backlog.StateConnecting, false, time.Time{}),
					leftOut, unresolved,
				},
				Functions: []backlog.FunctionSample{
					{Name: "g", Total: 30, Running: 10, Queued: 21, SilentQueued: 5, LongestQueue: 12}, {Name: "f"},
				},
			},
			last: ago(5),
			want: scaling.Sample{
				Partial: true, PossibleRestart: true, Answering: 3, Silent: 1,
				Functions: []scaling.FunctionSample{
					{Name: "f"}, {Name: "g", Total: 31, Running: 10, SilentQueued: 5, LongestQueue: 12},
				},
			},
		},
		"a lost connection that the last decision knew of": {
			sample: backlog.Sample{PossibleRestart: ago(7), NoAnswerSince: ago(20)},
			last:   ago(5),
			want:   scaling.Sample{NoAnswer: 20 * time.Second},
		},
		"telemetry": {
			o: Observed{Workload: workload.State{Replicas: 3, Unsettled: true}, Pods: []workload.Pod{
				{Name: "works", UID: "a", Created: ago(100), Ready: true, ReadySince: ago(80)},
				{Name: "drains", UID: "b", Created: ago(100), Terminating: true},
				{Name: "tells nothing", UID: "c", Created: ago(100), Ready: true, ReadySince: ago(80)},
				{Name: "has just crashed", UID: "d", Created: ago(100)},
				{Name: "crashed long ago", UID: "e", Created: ago(100), Trouble: workload.TroubleCrash},
				{Name: "is cut off", UID: "f", Created: ago(100), Ready: true, ReadySince: ago(80)},
				{Name: "is gated", UID: "g", Created: ago(100), Marks: workload.PodMarks{Gated: true}},
				{Name: "is on a dead node", UID: "h", Created: ago(100), Marks: workload.PodMarks{WasReady: true}},
				{
					Name: "only has the labels", UID: "i", Created: ago(100), Ready: true, ReadySince: ago(80),
					Marks: workload.PodMarks{Unowned: true},
				},
			}},
			sample: backlog.Sample{
				Pods: []backlog.PodSample{
					busy("a", 3, ago(1)), busy("b", 2, ago(1)), busy("d", 1, ago(8)), busy("e", 4, ago(16)),
					busy("f", 0, ago(600)),
				},
				Functions: []backlog.FunctionSample{
					{
						Name: "f", Running: 3,
						Counters: telemetry.Counters{OK: 7, OKMillis: 1500, Failed: 2, Requeued: 1, BusyMillis: 2500},
					},
					{Name: "g", Running: 3},
				},
			},
			want: scaling.Sample{
				Replicas: 3, Rollout: true,
				Pods: []scaling.PodSample{
					{
						Name: "works", Created: ago(100), Registered: ago(90), Ready: true, WasReady: true,
						Telemetry: true, Busy: 3, Capacity: 4,
					},
					{
						Name: "drains", Created: ago(100), Registered: ago(90), Terminating: true, Telemetry: true,
						Busy: 2, Capacity: 4,
					},
					{Name: "tells nothing", Created: ago(100), Registered: ago(80), Ready: true, WasReady: true},
					{
						Name: "has just crashed", Created: ago(100), Registered: ago(90), Telemetry: true, Busy: 1,
						Capacity: 4,
					},
					{Name: "crashed long ago", Created: ago(100), Broken: true},
					{
						Name: "is cut off", Created: ago(100), Registered: ago(90), Ready: true, WasReady: true,
						Telemetry: true, Capacity: 4,
					},
					{Name: "is gated", Created: ago(100), Gated: true},
					{Name: "is on a dead node", Created: ago(100), WasReady: true},
					{
						Name: "only has the labels", Created: ago(100), Registered: ago(80), Ready: true,
						WasReady: true, Terminating: true,
					},
				},
				Functions: []scaling.FunctionSample{
					{
						Name: "f", Total: 3, Running: 3, Busy: 2, Draining: 1, Ended: 7, EndedSeconds: 1.5, Failed: 2,
						Requeued: 1, BusySeconds: 2.5,
					},
					{Name: "g", Total: 3, Running: 3, Busy: 2, Draining: 1},
				},
			},
		},
		"a pod that takes no jobs": {
			o: Observed{Workload: workload.State{Replicas: 1}, Pods: []workload.Pod{
				{Name: "unfit", UID: "a", Created: ago(100), Ready: true, ReadySince: ago(80)},
			}},
			sample: backlog.Sample{
				Pods: []backlog.PodSample{
					{UID: "a", Capacity: 4, FirstSeen: ago(90), LastSeen: ago(1), Trouble: telemetry.TroubleStart},
				},
			},
			want: scaling.Sample{Replicas: 1, Pods: []scaling.PodSample{
				{
					Name: "unfit", Created: ago(100), Registered: ago(90), Ready: true, WasReady: true, Telemetry: true,
					Capacity: 4, TakesNoJobs: true,
				},
			}},
		},
		"a target, of whose pods none has been seen yet": {
			kind: scaling.KindTargetDeployment,
			o:    Observed{Workload: workload.State{Replicas: 2, Current: 2, Ready: 1}},
			want: scaling.Sample{Replicas: 2, Pods: []scaling.PodSample{{Ready: true}, {}}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.want.Functions = append([]scaling.FunctionSample{}, tc.want.Functions...)
			tc.want.Pods = append([]scaling.PodSample{}, tc.want.Pods...)
			if diff := cmp.Diff(
				tc.want, scalingSample(&tc.o, tc.kind, &tc.sample, 5*time.Second, tc.last, now),
			); diff != "" {
				t.Errorf("sample (-want +got):\n%s", diff)
			}
		})
	}
}

// TestASpikeBehindASilentServer: one of two job servers stops answering while many jobs arrive. As
// many are assumed to be queued there as at the other.
func TestASpikeBehindASilentServer(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	wanted := func(silent bool) int32 {
		o := &Observed{Workload: workload.State{Replicas: 2}}
		state := scaling.NewState(
			scaling.Learnt{JobTimes: []scaling.JobTime{{Function: "f", Time: 2 * time.Second}}}, start,
		)
		var d scaling.Decision
		for i := range 4 {
			now := start.Add(time.Duration(5*i) * time.Second)
			addr := netip.MustParseAddrPort("10.0.0.1:4730")
			s := backlog.Sample{
				Partial: silent,
				Servers: []backlog.ServerSample{
					{Resolved: addr, State: backlog.StateOK, Fresh: true, LastGood: now},
					{Resolved: addr, State: backlog.StateOK, Fresh: true, LastGood: now},
				},
				Functions: []backlog.FunctionSample{{Name: "f"}},
			}
			if silent {
				s.Servers[1] = backlog.ServerSample{Resolved: addr, State: backlog.StateTimedOut, LastGood: start}
			}
			if i > 0 {
				s.Functions[0] = backlog.FunctionSample{Name: "f", Total: 200, Queued: 200, LongestQueue: 200}
			}
			d, state = scaling.Decide(
				scaling.Policy{MaxReplicas: 100}, state,
				scalingSample(o, scaling.KindOwned, &s, 5*time.Second, now.Add(-5*time.Second), now), now,
			)
		}
		return d.Replicas
	}
	if all, one := wanted(false), wanted(true); one < all*3/2 || all <= 2 {
		t.Errorf(
			"with one of two job servers silent %d replicas, with both answering %d; want half as many again at least",
			one, all,
		)
	}
}
