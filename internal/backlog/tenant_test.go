package backlog

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/internal/resolve"
)

func addrs(format string, n int) (out []netip.Addr) {
	for i := range n {
		out = append(out, netip.MustParseAddr(fmt.Sprintf(format, i/250, i%250+1)))
	}
	return out
}

// A pool with too many addresses, job servers or names uses those that fit, and its sample reports
// it.
func TestTooManyJobServers(t *testing.T) {
	t.Parallel()
	names := func(n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprintf("name-%d", i))
		}
		return out
	}
	tests := map[string]struct {
		names, addresses int // of each name
		opts             Options
		want             Excess
		servers          int
	}{
		"all fit":           {2, 10, Options{}, Excess{}, 20},
		"addresses":         {1, 500, Options{}, Excess{Addresses: true}, 64},
		"of a pool":         {10, 50, Options{}, Excess{Pool: true}, 256},
		"of a namespace":    {10, 25, Options{MaxPoolServers: 1000}, Excess{}, 250},
		"of it, and more":   {10, 60, Options{MaxPoolServers: 1000}, Excess{Namespace: true}, 256},
		"names":             {600, 0, Options{}, Excess{Namespace: true}, 0},
		"names and servers": {10, 2, Options{MaxNamespaceServers: 5}, Excess{Namespace: true}, 5},
		"queues":            {2, 10, Options{MaxNamespaceQueues: 7}, Excess{Queues: true}, 7},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				for i, host := range names(tt.names) {
					var list []string
					for j := range tt.addresses {
						list = append(list, fmt.Sprintf("10.%d.%d.%d", i, j/250, j%250+1))
					}
					n.name(host, list...)
					for _, a := range list {
						n.server(a+":4730").function("f", 1, 0, 0)
					}
				}
				w := watch(t, n, tt.opts)
				set(t, w, poolA, Subscription{Servers: names(tt.names), Functions: []string{"f"}})
				time.Sleep(30 * time.Second)
				s := sample(t, w, poolA)
				if s.Excess != tt.want || s.Excess.Any() != (tt.want != Excess{}) {
					t.Errorf("excess %+v, want %+v", s.Excess, tt.want)
				}
				if got := w.Entries()["jobServers"]; got != tt.servers {
					t.Errorf("%d job servers, want %d", got, tt.servers)
				}
				if tt.servers > 0 && (s.Partial || s.Functions[0].Total != int64(tt.servers)) {
					t.Errorf("partial %v, %d jobs of %d job servers", s.Partial, s.Functions[0].Total, tt.servers)
				}
				w.Remove(poolA)
				isEmpty(t, w)
			})
		})
	}
}

// The operator counts the job servers that the workers of a pool with too many of them use: both
// take the first, however long each look-up takes.
func TestWorkersUseTheSameJobServers(t *testing.T) {
	t.Parallel()
	for slow := range 7 {
		t.Run(fmt.Sprint(slow), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				servers := make([]string, 0, 9)
				for i := range 7 {
					servers = append(servers, fmt.Sprintf("name-%d", i))
					n.name(servers[i], texts(addrs(fmt.Sprintf("10.%d.%%d.%%d", i), 50))...)
				}
				servers = append(servers, "10.9.0.1", "10.9.0.2:4731")
				look := func(ctx context.Context, host string) ([]netip.Addr, error) {
					if host == servers[slow] {
						time.Sleep(2 * time.Second)
					}
					return n.lookup(ctx, host)
				}
				w := watch(t, n, Options{LookupHost: look})
				set(t, w, poolA, Subscription{Servers: servers, Functions: []string{"f"}})
				time.Sleep(30 * time.Second)
				counted := make(map[string]bool)
				for _, s := range sample(t, w, poolA).Servers {
					counted[s.Resolved.String()] = true
				}
				if used := usedByWorker(t, servers, look); len(used) != 256 || !maps.Equal(used, counted) {
					t.Errorf("the worker uses %d job servers, the operator counts %d others", len(used), len(counted))
				}
			})
		})
	}
}

// usedByWorker are the job servers that a worker connects to.
func usedByWorker(
	t *testing.T, servers []string, look func(context.Context, string) ([]netip.Addr, error),
) map[string]bool {
	t.Helper()
	r := &resolve.Resolver{MaxServers: resolve.MaxServers, LookupNetIPWith: func(
		ctx context.Context, _, host string,
	) ([]netip.Addr, error) {
		return look(ctx, host)
	}}
	for _, s := range servers {
		a, err := gearman.ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		r.Servers = append(r.Servers, a)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	used := make(map[string]bool)
	for _, a := range r.Servers {
		wg.Go(func() {
			found, err := gearman.Resolve(t.Context(), r, a)
			if err != nil {
				return // there is no room for it
			}
			mu.Lock()
			defer mu.Unlock()
			for _, e := range found.First {
				used[e.Addr] = true
			}
		})
	}
	wg.Wait()
	return used
}

func texts(addrs []netip.Addr) (out []string) {
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

// When another pool of the namespace is removed, its share becomes free.
func TestRoomInANamespace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		for _, a := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
			n.server(a+":4730").function("f", 1, 0, 0)
			n.name("name-"+a[len(a)-1:], a)
		}
		w := watch(t, n, Options{MaxNamespaceServers: 2})
		poolB, other := PoolKey{"ns", "b"}, PoolKey{"other", "c"}
		set(t, w, poolB, Subscription{Servers: []string{"name-1", "name-2"}, Functions: []string{"f"}})
		time.Sleep(time.Second)
		set(t, w, poolA, Subscription{Servers: []string{"name-3", "10.0.0.1"}, Functions: []string{"f"}})
		set(t, w, other, Subscription{Servers: []string{"name-3"}, Functions: []string{"f"}})
		time.Sleep(10 * time.Second)
		if s := sample(t, w, poolA); !s.Excess.Namespace || s.Functions[0].Total != 1 || s.Partial {
			t.Errorf("a job server that another pool uses costs nothing, a name does: %+v", s)
		}
		if s := sample(t, w, other); s.Excess.Any() || s.Functions[0].Total != 1 {
			t.Errorf("another namespace: %+v", s)
		}
		w.Remove(poolB)
		time.Sleep(10 * time.Second)
		if s := sample(t, w, poolA); s.Excess.Any() || s.Functions[0].Total != 2 || s.Partial {
			t.Errorf("with room: %+v", s)
		}
	})
}

// The queues of a namespace are bounded, whatever its pools name and whenever they do, and a pool's
// released queues are free for another.
func TestQueuesOfANamespace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		servers := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}
		for _, a := range servers {
			s := n.server(a + ":4730")
			s.function("f", 1, 0, 0)
			s.function("g", 1, 0, 0)
		}
		w := watch(t, n, Options{MaxNamespaceQueues: 6})
		poolB, other := PoolKey{"ns", "b"}, PoolKey{"other", "c"}
		one, two := []string{"f"}, []string{"f", "g"}
		check := func(what string, key PoolKey, excess bool, jobs int64) {
			t.Helper()
			time.Sleep(10 * time.Second)
			s := sample(t, w, key)
			total := int64(0)
			for _, f := range s.Functions {
				total += f.Total
			}
			if s.Excess != (Excess{Queues: excess}) || total != jobs || s.Partial {
				t.Errorf("%s: %d jobs, want %d; excess %+v, want %v; %+v", what, total, jobs, s.Excess, excess, s)
			}
		}
		set(t, w, poolA, Subscription{Servers: servers, Functions: one})
		check("alone", poolA, false, 3)
		set(t, w, poolB, Subscription{Servers: servers, Functions: two})
		check("with room for one of its job servers", poolB, true, 2)
		set(t, w, other, Subscription{Servers: servers, Functions: two})
		check("in another namespace", other, false, 6)
		set(t, w, poolA, Subscription{Servers: servers, Functions: two})
		check("with more functions", poolA, true, 4)
		w.Remove(poolB)
		check("with room", poolA, false, 6)
		w.Remove(poolA)
		if got := w.Entries(); got["namespaces"] != 1 || got["queues"] != 6 {
			t.Errorf("without pools in the first namespace: %v, want the other one's 6 queues", got)
		}
	})
}

// However many job servers and pools of a namespace have news, its decisions get only their share
// of the time, and those of another namespace don't wait for them.
func TestNewsOfANamespace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const (
			pools, servers, functions = 5, 20, 10
			during                    = 20 * time.Second
			share                     = 1000
		)
		n := newNetwork(t)
		sub := Subscription{AtZero: true, Period: time.Hour}
		for i := range functions {
			sub.Functions = append(sub.Functions, fmt.Sprintf("f%d", i))
		}
		for i := range servers + 1 {
			jobs := 0
			n.server(fmt.Sprintf("10.0.0.%d:4730", i+1)).answer = func(command string) (string, bool) {
				jobs++
				return fmt.Sprintf("f0\t%d\t0\t0\n.\n", jobs), command == "status"
			}
			sub.Servers = append(sub.Servers, fmt.Sprintf("10.0.0.%d", i+1))
		}
		var decisions, others atomic.Int64
		other := PoolKey{"other", "b"}
		w := watch(t, n, Options{OnTick: func(keys []PoolKey, news bool) {
			for _, k := range keys {
				switch {
				case !news:
				case k == other:
					others.Add(1)
				default:
					decisions.Add(1)
				}
			}
		}})
		alone := sub
		alone.Servers, sub.Servers = sub.Servers[servers:], sub.Servers[:servers]
		set(t, w, other, alone)
		for i := range pools {
			set(t, w, PoolKey{"ns", fmt.Sprint(i)}, sub)
		}
		w.limit("ns", func(t *tenant) { t.news.SetLimit(share); t.news.SetBurst(share) })
		time.Sleep(5 * time.Second)
		before := decisions.Load()
		beforeOthers := others.Load()
		time.Sleep(during)
		// 2,000 answers have news.
		const cost = 20 + servers*functions*3/4
		most := int64(during.Seconds()+1) * share / cost
		if got := decisions.Load() - before; got > most || got < most/2 {
			t.Errorf("%d decisions in %v, want %d to %d", got, during, most/2, most)
		}
		// A poll comes each second, or up to a twentieth sooner.
		if got := others.Load() - beforeOthers; got < int64(during.Seconds())-1 {
			t.Errorf("%d decisions on the pool of another namespace in %v, want one for each answer", got, during)
		}
	})
}

// Delayed news arrives once there is room, unless the pool was removed.
func TestLateNews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		s := n.server("10.0.0.1:4730")
		s.function("f", 0, 0, 0)
		news := make(chan PoolKey, 100)
		w := watch(t, n, Options{OnTick: func(keys []PoolKey, isNews bool) {
			for _, k := range keys {
				if isNews {
					news <- k
				}
			}
		}})
		sub := Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{"f"}, AtZero: true, Period: time.Hour}
		gone := PoolKey{"ns", "gone"}
		set(t, w, poolA, sub)
		set(t, w, gone, sub)
		time.Sleep(5 * time.Second)
		for len(news) > 0 {
			<-news
		}
		w.limit("ns", func(t *tenant) {
			t.news.SetLimit(2) // 20 are a decision's
			t.news.ReserveN(time.Now(), newsBurst)
		})
		s.function("f", 1, 0, 0)
		time.Sleep(5 * time.Second)
		if len(news) > 0 {
			t.Errorf("news of %v came at once", <-news)
		}
		w.Remove(gone)
		time.Sleep(time.Minute)
		if len(news) != 1 || <-news != poolA {
			t.Error("the news of the pool that is left did not come, or that of the other did")
		}
	})
}

// A name whose addresses change at each look-up creates no more job servers than a pool may have.
func TestChangingAddresses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		w := watch(t, n, Options{MaxPoolServers: 20})
		n.name("jobs", "10.0.0.1")
		set(t, w, poolA, Subscription{Servers: []string{"jobs"}, Functions: []string{"f"}})
		for round := range 30 {
			var list []string
			for i := range 8 {
				list = append(list, fmt.Sprintf("10.0.%d.%d", round, i+1))
			}
			n.name("jobs", list...)
			time.Sleep(12 * time.Second)
			if got := w.Entries()["jobServers"]; got > 20 {
				t.Fatalf("%d job servers", got)
			}
			present := 0
			for _, l := range w.pools[poolA].links {
				if l.gone.IsZero() {
					present++
				}
			}
			if present != 8 {
				t.Fatalf("%d of the present addresses are polled", present)
			}
		}
	})
}

// Whatever the pools of one namespace name, another one's are looked up, dialed and polled as soon
// as without them.
func TestAnotherNamespaceIsNotDelayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.name("mine", "10.9.0.1")
		victim := n.server("10.9.0.1:4730")
		victim.function("f", 1, 0, 0)
		var dialing, most atomic.Int64
		var mu sync.Mutex
		lookups := map[string]int{}
		w := New(Options{
			MaxNamespaceServers: 5000, MaxPoolServers: 5000,
			Dial: func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
				if addr.Addr() == netip.MustParseAddr("10.9.0.1") {
					return n.dial(ctx, addr)
				}
				most.Store(max(most.Load(), dialing.Add(1)))
				defer dialing.Add(-1)
				<-ctx.Done() // a black hole
				return nil, ctx.Err()
			},
			LookupHost: func(ctx context.Context, host string) ([]netip.Addr, error) {
				mu.Lock()
				lookups[host]++
				mu.Unlock()
				if host == "mine" {
					return n.lookup(ctx, host)
				}
				var i int
				_, _ = fmt.Sscanf(host, "hostile-%d", &i) // the test's own names
				return addrs(fmt.Sprintf("10.%d.%%d.%%d", i%200), 64), nil
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := w.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		var names []string
		for i := range 64 {
			names = append(names, fmt.Sprintf("hostile-%d", i))
		}
		for i := range 10 {
			set(
				t, w, PoolKey{"hostile", fmt.Sprint(i)},
				Subscription{Servers: names, Functions: []string{"f"}, AtZero: true},
			)
		}
		time.Sleep(20 * time.Second)
		began := time.Now()
		set(t, w, poolA, Subscription{Servers: []string{"mine"}, Functions: []string{"f"}, AtZero: true})
		for sample(t, w, poolA).Partial {
			time.Sleep(10 * time.Millisecond)
		}
		if d := time.Since(began); d > 200*time.Millisecond {
			t.Errorf("the first answer came after %v", d)
		}
		for range 30 {
			time.Sleep(time.Second)
			if s := sample(t, w, poolA); s.Partial || s.Servers[0].Age(s.Time) > 1200*time.Millisecond {
				t.Fatalf("%+v", s.Servers)
			}
		}
		if n := most.Load(); n > dialsAtOnce+dialsToSilent {
			t.Errorf("%d dials at once", n)
		}
		mu.Lock()
		total := 0
		for host, n := range lookups {
			if strings.HasPrefix(host, "hostile") {
				total += n
			}
		}
		mu.Unlock()
		if total > 51*80 {
			t.Errorf("%d look-ups in 51 s", total)
		}
		cancel()
		wg.Wait()
	})
}

// goroutines is how many goroutines there are. runtime.NumGoroutine also counts ended ones while
// garbage is collected.
func goroutines() int {
	stacks := make([]byte, 1<<20)
	for {
		if n := runtime.Stack(stacks, true); n < len(stacks) {
			return strings.Count("\n\n"+string(stacks[:n]), "\n\ngoroutine ")
		}
		stacks = make([]byte, 2*len(stacks))
	}
}

// One goroutine for each job server and name.
func TestGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		w := watch(t, n, Options{})
		var list []string
		for i := range 200 {
			list = append(list, fmt.Sprintf("10.0.0.%d", i+1))
		}
		synctest.Wait()
		before := goroutines()
		set(t, w, poolA, Subscription{Servers: list, Functions: []string{"f"}})
		time.Sleep(time.Minute)
		synctest.Wait()
		if more := goroutines() - before; more > 5 {
			t.Errorf("%d goroutines for 200 job servers that nobody runs", more)
		}
	})
}

// Names take goroutines only while they are looked up.
func TestGoroutinesOfNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		w := watch(t, n, Options{})
		var list []string
		for i := range 200 {
			name := fmt.Sprintf("name-%d", i)
			n.name(name, fmt.Sprintf("10.0.0.%d", i+1))
			list = append(list, name)
		}
		synctest.Wait()
		before := goroutines()
		set(t, w, poolA, Subscription{Servers: list, Functions: []string{"f"}})
		for range 100 {
			synctest.Wait()
			if more := goroutines() - before; more > lookupsAtOnce+5 {
				t.Fatalf("%d goroutines for 200 names", more)
			}
			time.Sleep(100 * time.Millisecond)
		}
		for _, s := range sample(t, w, poolA).Servers {
			if s.State != StateRefused {
				t.Fatalf("%+v", s)
			}
		}
	})
}

// A queued name whose pool is removed is not looked up any more, and delays no other.
func TestNamesThatAreRemovedInLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		w := watch(t, n, Options{})
		var list []string
		for i := range 200 {
			list = append(list, fmt.Sprintf("name-%d", i))
			n.name(list[i], fmt.Sprintf("10.0.0.%d", i+1))
		}
		set(t, w, poolA, Subscription{Servers: list, Functions: []string{"f"}})
		poolB := PoolKey{poolA.Namespace, "b"}
		n.name("victim", "10.0.1.1")
		n.server("10.0.1.1:4730").function("f", 3, 1, 0)
		set(t, w, poolB, Subscription{Servers: []string{"victim"}, Functions: []string{"f"}})
		synctest.Wait()
		w.Remove(poolA)
		time.Sleep(time.Second)
		if s := sample(t, w, poolB); s.Partial || s.Functions[0].Total != 3 {
			t.Errorf("the other pool waits for names of none: %+v", s)
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if most := lookupsAtOnce + 2; n.lookups > most {
			t.Errorf("%d look-ups, want %d at most", n.lookups, most)
		}
	})
}

// Probes take goroutines only while they run, however many functions of however many pools have
// jobs at however many hanging job servers.
func TestGoroutinesOfProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		w := watch(t, n, Options{})
		sub := Subscription{Functions: []string{"a", "b", "c", "d", "e", "f", "g", "h"}}
		for i := range 40 {
			a := fmt.Sprintf("10.0.0.%d", i+1)
			sub.Servers = append(sub.Servers, a)
			s := n.server(a + ":4730")
			s.hangOnPackets = true
			for _, f := range sub.Functions {
				s.function(f, 1, 0, 0)
			}
		}
		var pools []PoolKey
		for i := range 10 {
			pools = append(pools, PoolKey{"ns", fmt.Sprintf("pool-%d", i)})
			set(t, w, pools[i], sub)
		}
		time.Sleep(5 * time.Second)
		before := goroutines()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		var asked sync.WaitGroup
		for _, key := range pools {
			for _, f := range sub.Functions {
				asked.Go(func() {
					if v, err := w.Runnable(ctx, key, f); v != Unknown || err == nil {
						t.Errorf("%v, %v", v, err)
					}
				})
			}
		}
		time.Sleep(time.Second)
		// 3,200 would be probed, by one goroutine for each of the 80 probing
		if more := goroutines() - before; more > 80+2*probesOfTenant {
			t.Errorf("%d goroutines more", more)
		}
		asked.Wait()
		if left := len(w.tenants["ns"].probes); left != 0 {
			t.Errorf("%d places are still taken", left)
		}
	})
}

// Long answers of the job servers of one namespace take at most their share of the time, and none
// of another's.
func TestBytesOfANamespace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const (
			perSecond, burst = 64 << 10, 512 << 10
			short            = 40 << 10
			during           = time.Minute
		)
		answer := func(size int) func(command string) (string, bool) {
			row := strings.Repeat("x", 100) + "\t1\t0\t0\n"
			return func(command string) (string, bool) {
				return "f\t1\t0\t0\n" + strings.Repeat(row, size/len(row)) + ".\n", command == "status"
			}
		}
		n := newNetwork(t)
		var list []string
		for i := range 10 {
			list = append(list, fmt.Sprintf("10.0.0.%d", i+1))
			n.server(list[i] + ":4730").answer = answer(400 << 10)
		}
		n.server("10.0.1.1:4730").answer = answer(short)
		w := watch(t, n, Options{})
		other := PoolKey{"other", "b"}
		set(t, w, other, Subscription{Servers: []string{"10.0.1.1"}, Functions: []string{"f"}, AtZero: true})
		set(t, w, poolA, Subscription{Servers: list, Functions: []string{"f"}, AtZero: true})
		for _, ns := range []string{"ns", "other"} {
			w.limit(ns, func(t *tenant) { t.bytes.SetLimit(perSecond); t.bytes.SetBurst(burst) })
		}
		time.Sleep(during)
		var read, requests, failures uint64
		for _, s := range w.allServers() {
			switch {
			case !strings.HasPrefix(s.Address, "10.0.1.1:"):
				read, requests, failures = read+s.Bytes, requests+s.Requests, failures+s.Failures
			case s.Failures > 0 || s.Bytes < uint64(during.Seconds()/2)*short:
				t.Errorf("the job server of another namespace: %+v", s)
			}
		}
		// What comes with the last read of an answer isn't waited for.
		most := burst + uint64(during.Seconds())*perSecond + requests*(shortAnswer+chunkSize)
		if read > most || read < burst || failures == 0 {
			t.Errorf("%d bytes of %d answers were read, want %d at most; %d failed", read, requests, most, failures)
		}
		if s := sample(t, w, other); s.Partial || s.Functions[0].Total != 1 {
			t.Errorf("another namespace: %+v", s)
		}
	})
}

// A job server that hangs on probes delays no other probe, and one whose polls fail is not probed.
func TestProbesOfAHungServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		hung, dead := n.server("10.0.0.1:4730"), n.server("10.0.0.2:4730")
		hung.function("f", 1, 0, 0)
		dead.function("f", 1, 0, 0)
		w := watch(t, n, Options{})
		poolB := PoolKey{"ns", "b"}
		set(t, w, poolA, Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{"f"}})
		set(t, w, poolB, Subscription{Servers: []string{"10.0.0.2"}, Functions: []string{"f"}})
		time.Sleep(5 * time.Second)
		hung.set(func(s *fakeServer) { s.hangOnPackets = true })
		dead.set(func(s *fakeServer) { s.refuse = true })
		dead.cut()
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		before := hung.dialled()
		for range 50 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				if v, err := w.Runnable(ctx, poolA, "f"); v != Unknown || err == nil {
					t.Errorf("%v, %v", v, err)
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		if d := hung.dialled() - before; d > probesAtOnce {
			t.Errorf("%d connections to a hung server", d)
		}
		began := time.Now()
		if v, err := w.Runnable(t.Context(), poolB, "f"); v != Unknown || !errors.Is(err, errSilent) ||
			time.Since(began) > 0 {
			t.Errorf("%v, %v after %v", v, err, time.Since(began))
		}
		wg.Wait()
	})
}

// A flapping job server, and one with a hostile certificate, fill no log, and none of their texts
// is in it.
func TestLogOfAFlappingServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		var log bytes.Buffer
		w := watch(t, n, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		var list []string
		for i := range 40 {
			a := fmt.Sprintf("10.0.0.%d", i+1)
			list = append(list, a)
			srv := n.server(a + ":4730")
			srv.set(func(s *fakeServer) {
				good := false
				s.answer = func(string) (string, bool) {
					if good = !good; good {
						return "f\t1\t0\t0\n.\n", true
					}
					return "hostile words\n.\n", true
				}
			})
		}
		set(t, w, poolA, Subscription{Servers: list, Functions: []string{"f"}, AtZero: true})
		const minutes = 5
		time.Sleep(minutes * time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		if lines := strings.Count(log.String(), "\n"); lines > 20+12*minutes+1 || lines < 20 {
			t.Errorf("%d lines in %d minutes", lines, minutes)
		}
		if strings.Contains(log.String(), "hostile words") {
			t.Error(log.String())
		}
	})
}

func TestTLSCause(t *testing.T) {
	t.Parallel()
	hostile := errors.New("hostile words")
	for err, want := range map[error]string{
		tlsError{hostile}:              "the handshake broke off",
		tlsError{tls.AlertError(42)}:   "the job server refused the handshake with alert 42",
		setupError{errors.New("ours")}: "ours",
		dialError{
			errors.New("dial tcp 10.0.0.1:4730: connect: connection refused"),
		}: "dial tcp 10.0.0.1:4730: connect: connection refused",
	} {
		if got := cause(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Secrets are read once in some seconds for all job servers of a pool, even if the handshakes fail.
func TestTLSConfigIsKeptForSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		var list []string
		for i := range 100 {
			a := fmt.Sprintf("10.0.0.%d", i+1)
			list = append(list, a)
			n.server(a + ":4730")
		}
		w := watch(t, n, Options{})
		var reads atomic.Int64
		config := func(err error) *TLS {
			return &TLS{
				Identity: "id",
				Config:   func(context.Context) (*tls.Config, error) { reads.Add(1); return &tls.Config{}, err },
			}
		}
		set(t, w, poolA, Subscription{Servers: list, TLS: config(nil), Functions: []string{"f"}})
		time.Sleep(time.Minute)
		if n := reads.Load(); n < 2 || n > 13 {
			t.Errorf("%d reads in a minute", n)
		}
		reads.Store(0)
		set(t, w, poolA, Subscription{Servers: list, TLS: config(errors.New("no Secret")), Functions: []string{"f"}})
		time.Sleep(time.Minute)
		if n := reads.Load(); n < 1 || n > 13 {
			t.Errorf("%d reads in a minute that fail", n)
		}
	})
}

// A name without a dot resolves to each namespace's own Service.
func TestNamesOfNamespaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		for i, ns := range []string{"a", "b"} {
			addr := fmt.Sprintf("10.0.0.%d", i+1)
			n.name("gearmand."+ns+".svc.cluster.local.", addr)
			n.server(addr+":4730").function("f", i+1, 0, 0)
		}
		w := watch(t, n, Options{ClusterDomain: "cluster.local"})
		for i, ns := range []string{"a", "b"} {
			key := PoolKey{ns, "pool"}
			set(t, w, key, Subscription{Servers: []string{"gearmand"}, Functions: []string{"f"}})
			time.Sleep(time.Second)
			if s := sample(t, w, key); s.Functions[0].Total != int64(i+1) || s.Servers[0].Address != "gearmand" {
				t.Errorf("%s: %+v", ns, s)
			}
		}
	})
}
