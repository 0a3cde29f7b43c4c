package backlog

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFunctionsAndServers(t *testing.T) {
	t.Parallel()
	for name, foreign := range map[string]int{"wanted": 0, "foreign too": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const addrOne, addrTwo = "10.0.0.1:4730", "10.0.0.2:4730"
				n := newNetwork(t)
				n.name("jobs", "10.0.0.1", "10.0.0.2")
				one, two := n.server(addrOne), n.server(addrTwo)
				one.function("f", 5, 2, 3)
				one.function("other", 1, 0, 0)
				two.function("f", 1, 0, 1)
				w := watch(t, n, Options{ForeignFunctions: foreign})
				set(t, w, poolA, Subscription{Servers: []string{"jobs"}, Functions: []string{"f"}})
				time.Sleep(time.Second)
				want := []FunctionStats{
					{Name: "f", Server: addrOne, Total: 5, Running: 2, Queued: 3, Workers: 3, Pools: 1},
					{Name: "f", Server: addrTwo, Total: 1, Queued: 1, Workers: 1, Pools: 1},
				}
				if foreign > 0 {
					want = append(want, FunctionStats{Name: "other", Server: addrOne, Total: 1, Queued: 1})
				}
				got, left := w.Functions(100, time.Now())
				if diff := cmp.Diff(want, got); diff != "" || left != 0 {
					t.Error(left, diff)
				}
				sample, _ := w.Sample(poolA, time.Now())
				var queues []QueueSample
				for _, q := range sample.Queues {
					if q.AsOf.IsZero() || !q.LostAt.IsZero() {
						t.Errorf("times of %+v", q)
					}
					q.AsOf = time.Time{}
					queues = append(queues, q)
				}
				wantQueues := []QueueSample{
					{Function: "f", Server: netip.MustParseAddrPort(addrOne), Total: 5, Running: 2},
					{Function: "f", Server: netip.MustParseAddrPort(addrTwo), Total: 1},
				}
				if diff := cmp.Diff(
					wantQueues, queues, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
				); diff != "" {
					t.Errorf("queues of the sample (-want +got):\n%s", diff)
				}
				two.set(func(s *fakeServer) { s.refuse = true })
				two.cut()
				one.set(func(s *fakeServer) { delete(s.functions, "other") })
				one.function("more", 2, 0, 0)
				one.function("evenmore", 2, 0, 0)
				time.Sleep(2 * time.Minute)
				got, _ = w.Functions(100, time.Now())
				if len(got) != 1+foreign {
					t.Errorf("after a server fell silent and a function vanished: %+v", got)
				}
				for _, f := range got {
					if f.Server != addrOne || f.Name == "other" {
						t.Errorf("after a server fell silent and a function vanished: %+v", got)
					}
				}
				sample, _ = w.Sample(poolA, time.Now())
				if len(sample.Queues) != 2 || sample.Queues[1].LostAt.IsZero() {
					t.Errorf("the lost connection is not noted: %+v", sample.Queues)
				}
				servers, left := w.Servers(100)
				if len(servers) != 2 || left != 0 || !servers[0].Up || servers[1].Up ||
					servers[1].State != StateRefused {
					t.Fatalf("%+v", servers)
				}
				if diff := cmp.Diff([]ServerName{{"ns", "jobs:4730"}}, servers[0].Names); diff != "" {
					t.Error(diff)
				}
				if s := servers[0]; s.Polls < 15 || s.Requests < s.Polls || s.Bytes == 0 || s.LastGood.IsZero() ||
					servers[1].Failures == 0 {
					t.Errorf("%+v", s)
				}
				// A function that a pool starts to want is no longer foreign.
				set(t, w, poolA, Subscription{Servers: []string{"jobs"}, Functions: []string{"f", "more", "evenmore"}})
				time.Sleep(10 * time.Second)
				if n := w.Entries()["foreignFunctions"]; n != 0 {
					t.Errorf("%d foreign functions", n)
				}
			})
		})
	}
}

// However many functions and job servers a namespace has, and whatever they are called, those of
// another namespace are shown, and foreign ones come last.
func TestNobodyIsPushedOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		var greedy []string
		for i := range 50 {
			addr := fmt.Sprintf("10.0.1.%d", i)
			greedy = append(greedy, addr)
			srv := n.server(addr + ":4730")
			for j := range 20 {
				srv.function(fmt.Sprintf("a-foreign-%d", j), 1, 0, 0)
			}
		}
		var functions []string
		for i := range 64 {
			functions = append(functions, fmt.Sprintf("a%d", i))
		}
		n.server("10.0.9.9:4730").function("z", 7, 0, 0)
		w := watch(t, n, Options{ForeignFunctions: 100})
		for i := range 10 {
			set(t, w, PoolKey{"a-greedy", fmt.Sprint(i)}, Subscription{Servers: greedy, Functions: functions})
		}
		set(t, w, PoolKey{"z-victim", "v"}, Subscription{Servers: []string{"10.0.9.9"}, Functions: []string{"z"}})
		time.Sleep(10 * time.Second)
		shown, left := w.Functions(100, time.Now())
		if len(shown) != 100 || left != 50*64+1+50*20-100 {
			t.Errorf("%d shown, %d left", len(shown), left)
		}
		if last := shown[len(shown)-1]; last.Name != "z" || last.Queued != 7 {
			t.Errorf("%+v", last)
		}
		if slices.ContainsFunc(shown, func(f FunctionStats) bool { return f.Pools == 0 }) {
			t.Error("a foreign function took the place of a pool's own")
		}
		servers, left := w.Servers(10)
		if len(servers) != 10 || left != 41 || servers[9].Address != "10.0.9.9:4730" {
			t.Errorf("%d left, %+v", left, servers)
		}
	})
}

func TestFairLevel(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		counts     []int
		most, want int
	}{
		"none":            {nil, 10, math.MaxInt},
		"all fit":         {[]int{3, 4}, 7, math.MaxInt},
		"one is cut":      {[]int{1, 100, 2}, 10, 7},
		"all are cut":     {[]int{50, 60}, 10, 5},
		"nothing fits":    {[]int{5, 5, 5}, 2, 0},
		"no room at all":  {[]int{5}, 0, 0},
		"room below zero": {[]int{5}, -3, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := fairLevel(tt.counts, tt.most); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}

// TestEntries: with the last pool everything kept for it is deleted.
func TestEntries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.name("jobs", "10.0.0.1", "10.0.0.2")
		one := n.server("10.0.0.1:4730")
		n.server("10.0.0.2:4730")
		one.function("other", 1, 0, 0)
		w := watch(t, n, Options{ForeignFunctions: 10})
		poolB := PoolKey{"ns", "b"}
		set(t, w, poolA, Subscription{Servers: []string{"jobs"}, Functions: []string{"f"}})
		set(t, w, poolB, Subscription{Servers: []string{"jobs", "10.0.0.1"}, Functions: []string{"f", "g"}})
		w.SetPods(poolA, []PodRef{{UID: uidOne, Name: "pool-a-1"}})
		time.Sleep(10 * time.Second)
		want := map[string]int{
			"watchedPools": 2, "namespaces": 1, "names": 2, "namesLeftOut": 0, "jobServers": 2, "functions": 4,
			"foreignFunctions": 1, "queues": 6, "pods": 1, "terminatingPods": 0,
		}
		if diff := cmp.Diff(want, w.Entries()); diff != "" {
			t.Error(diff)
		}
		w.Remove(poolB)
		w.Remove(poolA)
		isEmpty(t, w)
	})
}

// isEmpty checks that nothing is kept without pools.
func isEmpty(t *testing.T, w *Watcher) {
	t.Helper()
	for kind, n := range w.Entries() {
		if n != 0 {
			t.Errorf("%d %s are left", n, kind)
		}
	}
	if n := w.Bytes(); n != 0 {
		t.Errorf("%d bytes are left", n)
	}
}

func (w *Watcher) allServers() []ServerStats {
	all, _ := w.Servers(math.MaxInt)
	return all
}
