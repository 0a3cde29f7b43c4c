package backlog

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFunctionsAndServers(t *testing.T) {
	t.Parallel()
	for name, all := range map[string]bool{"wanted": false, "all": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.name("jobs", "10.0.0.1", "10.0.0.2")
				one, two := n.server("10.0.0.1:4730"), n.server("10.0.0.2:4730")
				one.function("f", 5, 2, 3)
				one.function("other", 1, 0, 0)
				two.function("f", 1, 0, 1)
				w := watch(t, n, Options{AllFunctions: all, MaxFunctions: 1})
				set(t, w, poolA, Subscription{Servers: []string{"jobs"}, Functions: []string{"f"}})
				time.Sleep(time.Second)
				want := []FunctionStats{{Name: "f", Total: 6, Running: 2, Queued: 4, Workers: 4, Pools: 1}}
				if all {
					want = append(want, FunctionStats{Name: "other", Total: 1, Queued: 1})
				}
				if diff := cmp.Diff(want, w.Functions(false, time.Now())); diff != "" {
					t.Error(diff)
				}
				two.set(func(s *fakeServer) { s.refuse = true })
				two.cut()
				time.Sleep(30 * time.Second)
				if got := w.Functions(true, time.Now()); got[0].Server != "10.0.0.1:4730" || got[0].Total != 5 || got[1].Total != 1 {
					t.Errorf("%+v", got)
				}
				one.set(func(s *fakeServer) { delete(s.functions, "other") })
				one.function("more", 2, 0, 0)
				one.function("evenmore", 2, 0, 0)
				time.Sleep(time.Minute)
				got := w.Functions(false, time.Now())
				wantNames := 1
				if all {
					wantNames = 2 // one spare function, the limit
				}
				if len(got) != wantNames || got[len(got)-1].Total == 1 || got[0].Total == 6 {
					t.Errorf("after a server fell silent and a function vanished: %+v", got)
				}
				servers := w.Servers()
				if len(servers) != 2 || !servers[0].Up || servers[1].Up || servers[1].State != StateRefused || servers[0].Name != "jobs:4730" {
					t.Errorf("%+v", servers)
				}
				if s := servers[0]; s.Polls < 15 || s.Requests < s.Polls || s.Bytes == 0 || s.LastGood.IsZero() || servers[1].Failures == 0 {
					t.Errorf("%+v", s)
				}
				// A function that a pool comes to want is no spare one any more.
				set(t, w, poolA, Subscription{Servers: []string{"jobs"}, Functions: []string{"f", "more", "evenmore"}})
				time.Sleep(10 * time.Second)
				for _, s := range w.servers {
					if s.spares != 0 {
						t.Errorf("%d spare functions", s.spares)
					}
				}
			})
		})
	}
}

// TestEntries: with the last pool all that was kept for it goes.
func TestEntries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.name("jobs", "10.0.0.1", "10.0.0.2")
		one := n.server("10.0.0.1:4730")
		n.server("10.0.0.2:4730")
		one.function("other", 1, 0, 0)
		w := watch(t, n, Options{AllFunctions: true})
		poolB := PoolKey{"ns", "b"}
		set(t, w, poolA, Subscription{Servers: []string{"jobs"}, Functions: []string{"f"}})
		set(t, w, poolB, Subscription{Servers: []string{"jobs", "10.0.0.1"}, Functions: []string{"f", "g"}})
		w.SetPods(poolA, []PodRef{{UID: uidOne, Name: "pool-a-1"}})
		time.Sleep(10 * time.Second)
		want := map[string]int{"watchedPools": 2, "names": 2, "jobServers": 2, "functions": 5, "pods": 1}
		if diff := cmp.Diff(want, w.Entries()); diff != "" {
			t.Error(diff)
		}
		w.Remove(poolB)
		w.Remove(poolA)
		for kind, n := range w.Entries() {
			if n != 0 {
				t.Errorf("%d %s are left", n, kind)
			}
		}
	})
}
