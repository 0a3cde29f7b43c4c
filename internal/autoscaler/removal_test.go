package autoscaler

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// TestAllGo: no marks are needed where every pod of a pool is idle and is to go, and only there.
func TestAllGo(t *testing.T) {
	t.Parallel()
	two := []workload.Pod{{Name: "a", UID: "1"}, {Name: "b", UID: "2"}}
	tests := map[string]struct {
		to, from, current int32
		pods              []workload.Pod
		victims           []string
		busy              string // uid
		want              bool
	}{
		"all":                       {0, 2, 2, two, []string{"b", "a"}, "", true},
		"all but one that ends":     {0, 1, 1, []workload.Pod{two[0], {Name: "b", Terminating: true}}, []string{"a"}, "", true},
		"not to zero":               {1, 2, 2, two, []string{"b"}, "", false},
		"one is no victim":          {0, 2, 2, two, []string{"b"}, "", false},
		"one works":                 {0, 2, 2, two, []string{"a", "b"}, "2", false},
		"a pod that is not seen":    {0, 3, 3, two, []string{"a", "b"}, "", false},
		"one more than there was":   {0, 2, 3, two, []string{"a", "b"}, "", false},
		"a victim that isn't there": {0, 2, 2, two, []string{"a", "c"}, "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := &poolstatus.View{Decision: scaling.Decision{Replicas: tt.to, Victims: tt.victims}}
			if tt.busy != "" {
				v.Sample.Pods = []backlog.PodSample{{UID: tt.busy, Busy: 1}}
			}
			if got := allGo(&workload.State{Replicas: tt.from, Current: tt.current}, tt.pods, v); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestPlanReplicas: the rounds of one scale-down, from the first marks to the pods' end.
func TestPlanReplicas(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	pods := func(mutate ...func([]workload.Pod)) []workload.Pod {
		out := []workload.Pod{{Name: "a", UID: "1", Ready: true}, {Name: "b", UID: "2", Ready: true}, {Name: "c", UID: "3", Ready: true}}
		for _, m := range mutate {
			m(out)
		}
		return out
	}
	marked := func(p []workload.Pod) { p[1].Cost = victimCost }
	type round struct {
		after    time.Duration
		to       int32
		victims  []string
		forced   bool
		isTarget bool
		pods     []workload.Pod
		busy     string // uid
		want     Plan
	}
	mark := Plan{Replicas: 3, Costs: []PodCost{{"b", victimCost}}}
	tests := map[string][]round{
		"up at once": {{to: 9, pods: pods(), want: Plan{Replicas: 9}}},
		"as it is":   {{to: 3, pods: pods(), want: Plan{Replicas: 3}}},
		"marked, seen, settled": {
			{to: 2, victims: []string{"b"}, pods: pods(), want: mark},
			{after: 1, to: 2, victims: []string{"b"}, pods: pods(marked), want: Plan{Replicas: 3}},
			{after: 3, to: 2, victims: []string{"b"}, pods: pods(marked), want: Plan{Replicas: 3}},
			{after: 4, to: 2, victims: []string{"b"}, pods: pods(marked), want: Plan{Replicas: 2}},
		},
		"another victim starts over": {
			{to: 2, victims: []string{"b"}, pods: pods(marked), want: Plan{Replicas: 3}},
			{after: 5, to: 2, victims: []string{"a"}, pods: pods(marked), want: Plan{Replicas: 3, Costs: []PodCost{{"a", victimCost}, {"b", 0}}}},
		},
		"no more than the victims": {
			{to: 0, victims: []string{"b"}, pods: pods(marked), want: Plan{Replicas: 3}},
			{after: 3, to: 0, victims: []string{"b"}, pods: pods(marked), want: Plan{Replicas: 2}},
		},
		"forced needs no victim": {
			{to: 1, forced: true, pods: pods(), want: Plan{Replicas: 3}},
			{after: 3, to: 1, forced: true, pods: pods(), want: Plan{Replicas: 1}},
		},
		"pods of an earlier round remain": {
			{to: 2, victims: []string{"b"}, pods: append(pods(marked), workload.Pod{Name: "d", UID: "4", Ready: true}), want: Plan{Replicas: 3}},
			{after: 9, to: 2, victims: []string{"b"}, pods: append(pods(marked), workload.Pod{Name: "d", UID: "4", Ready: true}), want: Plan{Replicas: 3}},
		},
		"an unready pod that works": {
			{to: 2, victims: []string{"b"}, pods: pods(marked, func(p []workload.Pod) { p[0].Ready = false }), busy: "1", want: Plan{Replicas: 3}},
			{after: 9, to: 2, victims: []string{"b"}, pods: pods(marked, func(p []workload.Pod) { p[0].Ready = false }), busy: "1", want: Plan{Replicas: 3}},
		},
		"of a target no pod is marked": {{to: 1, victims: []string{"b"}, isTarget: true, pods: pods(), want: Plan{Replicas: 1}}},
		"to zero at once":              {{to: 0, victims: []string{"a", "b", "c"}, pods: pods(), want: Plan{}}},
		"no longer needed":             {{to: 3, pods: pods(marked), want: Plan{Replicas: 3, Costs: []PodCost{{Pod: "b"}}}}},
	}
	for name, rounds := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &workload.State{Exists: true, UID: "u", Replicas: 3, Current: 3, Generation: 5}
			p := &Pool{}
			p.ObserveReplicas(w, start)
			for i, r := range rounds {
				v := &poolstatus.View{
					At:       start.Add(r.after * time.Second),
					Decision: scaling.Decision{Replicas: r.to, Victims: r.victims, Forced: r.forced},
				}
				if r.busy != "" {
					v.Sample.Pods = []backlog.PodSample{{UID: r.busy, Busy: 1}}
				}
				if diff := cmp.Diff(r.want, p.PlanReplicas(w, r.pods, r.isTarget, v)); diff != "" {
					t.Errorf("round %d (-want +got):\n%s", i, diff)
				}
			}
			p.WroteReplicas(7, 6)
			if got := p.PresentReplicas(w); got != 7 {
				t.Errorf("while the cache is behind there are %d replicas, want the 7 that were written", got)
			}
			if diff := cmp.Diff(Plan{Replicas: 3}, p.PlanReplicas(w, rounds[0].pods, false, &poolstatus.View{At: start})); diff != "" {
				t.Errorf("while the cache is behind (-want +got):\n%s", diff)
			}
		})
	}
}
