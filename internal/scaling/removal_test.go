package scaling

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/internal/boolean"
)

const removalPoll = 5 * time.Second

// setSim simulates a workload's pods and the rule's rounds, one each poll, with a cache that
// shows a patch a second later.
type setSim struct {
	in    RemovalInput
	state RemovalState
	// refuse makes every patch fail; patches counts the others.
	refuse  bool
	patches int
}

func newSetSim(n int, want int32) *setSim {
	h := &setSim{}
	h.in = RemovalInput{
		Now: epochOfTest, Poll: removalPoll, Replicas: int32(n), Want: int32(n), Ceiling: 1000, Complete: true,
	}
	for i := range n {
		h.in.Pods = append(h.in.Pods, Pod{
			UID: fmt.Sprintf("pod-%02d", i), Owned: true, Assigned: true, Phase: PhaseRunning, Ready: true,
			WasReady: true, Ordinal: int32(i),
			ReadySince: epochOfTest.Add(-time.Hour), Created: epochOfTest.Add(-time.Hour),
			BusySince: epochOfTest.Add(-time.Minute),
		})
	}
	h.round() // it has watched for a while
	h.in.Want = want
	return h
}

var epochOfTest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// busy makes these pods busy and all others idle.
func (h *setSim) busy(who ...int) {
	for i := range h.in.Pods {
		h.in.Pods[i].Busy = 0
	}
	for _, i := range who {
		h.in.Pods[i].Busy = 1
	}
}

// round is one poll and the decision after it; the patches and the removal follow before the next
// one.
func (h *setSim) round() Removal {
	h.in.Now = h.in.Now.Add(removalPoll)
	h.in.Answer = h.in.Now
	for i := range h.in.Pods {
		h.in.Pods[i].Heard = h.in.Now
	}
	return h.decide()
}

func (h *setSim) decide() Removal {
	out, s := Remove(&h.in, h.state)
	h.state = s
	if !h.refuse {
		h.patches += len(out.Patches)
		for _, p := range out.Patches {
			h.pod(p.UID).Cost = p.Cost
		}
	}
	h.in.Replicas = out.Replicas
	// The cache shows the patches a second later.
	now := h.in.Now
	h.in.Now = now.Add(time.Second)
	shown := h.in
	shown.Want = shown.Replicas
	shown.Complete = false
	h.state.observe(&shown)
	h.in.Now = now
	return out
}

func (h *setSim) pod(uid string) *Pod {
	return &h.in.Pods[slices.IndexFunc(h.in.Pods, func(p Pod) bool { return p.UID == uid })]
}

// remove has Kubernetes remove the surplus pods, ties in random order.
func (h *setSim) remove() {
	order := kubernetesOrder(h.in.Pods, rand.New(rand.NewPCG(1, 1)))
	for len(order) > int(h.in.Replicas) {
		uid := order[0].UID
		h.in.Pods = slices.DeleteFunc(h.in.Pods, func(p Pod) bool { return p.UID == uid })
		order = order[1:]
	}
}

// kubernetesOrder is the order in which Kubernetes 1.37 removes the pods of a ReplicaSet.
func kubernetesOrder(pods []Pod, rng *rand.Rand) []Pod {
	var live []Pod
	for _, p := range pods {
		if p.Owned && !p.Terminating {
			live = append(live, p)
		}
	}
	rng.Shuffle(len(live), func(i, j int) { live[i], live[j] = live[j], live[i] })
	slices.SortStableFunc(live, func(a, b Pod) int {
		return cmp.Or(
			falseFirst(a.Assigned, b.Assigned), cmp.Compare(a.Phase, b.Phase), falseFirst(a.Ready, b.Ready),
			cmp.Compare(a.Cost, b.Cost),
		)
	})
	return live
}

func falseFirst(a, b bool) int { return cmp.Compare(boolean.Int(a), boolean.Int(b)) }

func TestRemove(t *testing.T) {
	t.Parallel()
	type outcome struct {
		Replicas int32
		Patches  int
		Reason   RemovalReason
	}
	tests := map[string]struct {
		pods int
		want int32
		play func(h *setSim) Removal
		out  outcome
	}{
		"idle pods go at once and without a mark": {
			10, 3, func(h *setSim) Removal { return h.round() }, outcome{3, 0, ""},
		},
		"all idle: to zero without a mark": {
			10, 0, func(h *setSim) Removal { return h.round() }, outcome{0, 0, ""},
		},
		"where some work, idle ones are marked first": {
			10, 4, func(h *setSim) Removal { h.busy(0, 1); return h.round() },
			outcome{10, 6, RemovalBusy},
		},
		"and go once the marks were seen and the job servers answered": {
			10, 4, func(h *setSim) Removal { h.busy(0, 1); h.round(); return h.round() },
			outcome{4, 0, ""},
		},
		"not on the answer from before the marks": {10, 4, func(h *setSim) Removal {
			h.busy(0, 1)
			h.round()
			h.in.Now = h.in.Now.Add(4 * time.Second)
			return h.decide()
		}, outcome{10, 0, RemovalSettling}},
		"without telemetry nothing goes on the answer that the last removal went by": {10, 5, func(h *setSim) Removal {
			h.in.Now = h.in.Now.Add(removalPoll)
			h.in.Answer = h.in.Now
			for i := range h.in.Pods {
				h.in.Pods[i].Heard = time.Time{}
			}
			h.decide()
			h.remove()
			h.in.Want = 2
			h.in.Now = h.in.Now.Add(removalSettle + time.Second)
			return h.decide()
		}, outcome{5, 0, RemovalSettling}},
		"only a leading run of idle marked pods goes, and the first busy one is unmarked": {10, 4, func(h *setSim) Removal {
			h.busy(0, 1)
			h.round()
			h.busy(0, 4) // the third mark
			return h.round()
		}, outcome{8, 2, RemovalBusy}},
		"a pod that has just become busy keeps its mark for a poll": {10, 4, func(h *setSim) Removal {
			h.busy(0, 1)
			h.round()
			h.busy(0, 4)
			h.in.Pods[4].BusySince = h.in.Now.Add(removalPoll)
			return h.round()
		}, outcome{8, 0, RemovalBusy}},
		"nothing is marked while a job server is silent": {
			10, 4, func(h *setSim) Removal { h.busy(0); h.in.Complete = false; return h.round() },
			outcome{10, 0, RemovalHeld},
		},
		"a pod that never was ready goes first": {10, 9, func(h *setSim) Removal {
			h.busy(0, 1, 2, 3, 4, 5, 6, 7, 8)
			h.in.Pods[9] = Pod{UID: "pod-09", Owned: true, Created: h.in.Now}
			return h.round()
		}, outcome{9, 0, ""}},
		"an unready pod that was ready may still work, as long as a running job is unexplained": {10, 5, func(h *setSim) Removal {
			p := &h.in.Pods[0]
			p.Ready, h.in.Unexplained = false, 1
			h.in.Now, h.in.Answer = h.in.Now.Add(time.Minute), h.in.Now.Add(time.Minute)
			for i := 1; i < 10; i++ {
				h.in.Pods[i].Heard = h.in.Now
			}
			return h.decide()
		}, outcome{10, 4, RemovalUnready}},
		"its stopped container does not": {10, 5, func(h *setSim) Removal {
			h.in.Pods[0].Ready, h.in.Pods[0].Stopped, h.in.Unexplained = false, true, 1
			return h.round()
		}, outcome{5, 0, ""}},
		"without telemetry nothing goes while a job runs": {10, 5, func(h *setSim) Removal {
			h.round()
			h.in.Now, h.in.Unexplained = h.in.Now.Add(time.Minute), 1
			h.in.Answer = h.in.Now
			for i := range h.in.Pods {
				h.in.Pods[i].Heard = time.Time{}
			}
			h.in.Replicas, h.in.Want = 10, 5
			return h.decide()
		}, outcome{10, 0, RemovalUnknown}},
		"a busy pod whose telemetry is late does not go because its own report explains the job": {10, 5, func(h *setSim) Removal {
			h.in.Kind, h.in.Running = KindTargetStatefulSet, 1
			h.busy(9)
			h.round()
			h.in.Now = h.in.Now.Add(4 * removalPoll)
			h.in.Answer = h.in.Now
			return h.decide()
		}, outcome{10, 0, RemovalBusy}},
		"it goes once nothing runs at the job servers": {10, 5, func(h *setSim) Removal {
			h.in.Kind = KindTargetStatefulSet
			h.busy(9)
			h.round()
			h.in.Now = h.in.Now.Add(4 * removalPoll)
			h.in.Answer = h.in.Now
			return h.decide()
		}, outcome{5, 0, ""}},
		"pods that only carry the labels are not counted": {10, 9, func(h *setSim) Removal {
			h.in.Pods[0].Owned = false
			h.in.Replicas, h.in.Want = 9, 8
			return h.round()
		}, outcome{8, 0, ""}},
		"pods on their way out take the front": {10, 4, func(h *setSim) Removal {
			h.busy(0, 1, 2)
			h.in.Want = 6
			h.round()
			h.round() // to 6; Kubernetes has not removed them yet
			h.in.Want = 4
			return h.round()
		}, outcome{6, 2, RemovalUnderWay}},
		"replicas without a pod go before any pod": {10, 5, func(h *setSim) Removal {
			h.busy(0, 1, 2, 3)
			h.in.Pods = h.in.Pods[:5]
			return h.round()
		}, outcome{5, 0, ""}},
		"a bound waits for marks to be seen": {20, 5, func(h *setSim) Removal {
			h.busy(0, 1, 2, 3, 4, 5, 6)
			h.in.Ceiling = 5
			return h.round()
		}, outcome{20, 15, RemovalBusy}},
		"and is reached once they are, whatever works": {20, 5, func(h *setSim) Removal {
			h.busy(0, 1, 2, 3, 4, 5, 6)
			h.in.Ceiling = 5
			h.round()
			h.busy(9, 10, 11, 12, 13, 14, 15)
			return h.round()
		}, outcome{5, 0, RemovalBusy}},
		"a StatefulSet goes from the top down to the highest that works": {10, 2, func(h *setSim) Removal {
			h.in.Kind = KindTargetStatefulSet
			h.busy(0, 6)
			return h.round()
		}, outcome{7, 0, RemovalBusy}},
		"a target Deployment stays as it is while one works": {10, 2, func(h *setSim) Removal {
			h.in.Kind = KindTargetDeployment
			h.busy(4)
			return h.round()
		}, outcome{10, 0, RemovalBusy}},
		"and shrinks while none does": {
			10, 2, func(h *setSim) Removal { h.in.Kind = KindTargetDeployment; return h.round() }, outcome{2, 0, ""},
		},
		"a target Deployment obeys bounds": {10, 2, func(h *setSim) Removal {
			h.in.Kind, h.in.Ceiling = KindTargetDeployment, 4
			h.busy(0, 1, 2)
			return h.round()
		}, outcome{4, 0, RemovalBusy}},
		"Graceful: the least busy are marked, and go though they work": {4, 2, func(h *setSim) Removal {
			h.in.Graceful = true
			h.busy(0, 1, 2, 3)
			h.round()
			return h.round()
		}, outcome{2, 0, ""}},
		"no more marks than a round may write": {
			100, 10, func(h *setSim) Removal { h.busy(0); return h.round() }, outcome{100, marksARound, RemovalBusy},
		},
		"marks are left alone for a while where all pods are needed again": {10, 4, func(h *setSim) Removal {
			h.busy(0, 1)
			h.round()
			h.in.Want = 10
			return h.round()
		}, outcome{10, 0, ""}},
		"and taken off after it": {10, 4, func(h *setSim) Removal {
			h.busy(0, 1)
			h.round()
			h.in.Want = 10
			h.in.Now = h.in.Now.Add(markAge)
			return h.round()
		}, outcome{10, 6, ""}},
		"a new leader lets nothing go before it has seen the costs for a while": {10, 4, func(h *setSim) Removal {
			h.busy(0, 1)
			h.round()
			h.state = RemovalState{}
			return h.round()
		}, outcome{10, 0, RemovalSettling}},
		"and goes on with the marks of the one before": {10, 4, func(h *setSim) Removal {
			h.busy(0, 1)
			h.round()
			h.state = RemovalState{}
			h.round()
			return h.round()
		}, outcome{4, 0, ""}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := tc.play(newSetSim(tc.pods, tc.want))
			if diff := gocmp.Diff(tc.out, outcome{r.Replicas, len(r.Patches), r.Reason}); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestBoundsDoNotWaitForPatches: a bound is obeyed even if no pod can be patched; a removal that
// isn't forced waits.
func TestBoundsDoNotWaitForPatches(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ ceiling, want int32 }{"forced": {5, 5}, "not forced": {1000, 20}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newSetSim(20, 5)
			h.refuse, h.in.Ceiling = true, tc.ceiling
			h.busy(0, 1, 2, 3)
			start := h.in.Now
			for h.in.Now.Sub(start) < removalSettle+2*removalPoll {
				h.round()
			}
			if h.in.Replicas != tc.want {
				t.Errorf("%d replicas, want %d", h.in.Replicas, tc.want)
			}
		})
	}
}

// TestLostPatchesAreWrittenAgain: a failed patch is repeated after a while, and not in each round.
func TestLostPatchesAreWrittenAgain(t *testing.T) {
	t.Parallel()
	h := newSetSim(4, 2)
	h.busy(0, 1)
	h.refuse = true
	var wrote []int
	for range 4 {
		wrote = append(wrote, len(h.round().Patches))
	}
	h.refuse = false
	h.round()
	h.round()
	if diff := gocmp.Diff([]int{2, 0, 2, 0}, wrote); diff != "" || h.in.Replicas != 2 {
		t.Errorf("%d replicas, want 2; patches in each round (-want +got):\n%s", h.in.Replicas, diff)
	}
}

// TestScaleDownWhileJobsFlow: 20 pods that were busy, then short jobs at the load of 2.4 pods, at
// random among the idle ones.
func TestScaleDownWhileJobsFlow(t *testing.T) {
	t.Parallel()
	for _, kind := range []WorkloadKind{KindOwned, KindTargetDeployment} {
		rng := rand.New(rand.NewPCG(3, uint64(kind)))
		h := newSetSim(20, 4)
		h.in.Kind = kind
		start := h.in.Now
		took, blocked := time.Duration(0), false
		for h.in.Now.Sub(start) < 10*time.Minute && took == 0 {
			h.busy(rng.IntN(len(h.in.Pods)), rng.IntN(len(h.in.Pods)), rng.IntN(len(h.in.Pods)))
			blocked = h.round().Blocked || blocked
			h.remove()
			if h.in.Replicas == 4 {
				took = h.in.Now.Sub(start)
			}
		}
		switch {
		case kind == KindOwned && (took == 0 || took > 90*time.Second || h.patches > 2*16 || blocked):
			t.Errorf(
				"own Deployment: 4 replicas after %v with %d patches, blocked %v; want within 90 s, at most two patches for each removed pod",
				took, h.patches, blocked,
			)
		case kind == KindTargetDeployment && (took != 0 || h.patches != 0 || !blocked):
			t.Errorf(
				"target Deployment: took %v, %d patches, blocked %v; want it to stay, without patches, and to say so",
				took, h.patches, blocked,
			)
		}
	}
}
