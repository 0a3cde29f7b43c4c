package backlog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/internal/access"
)

// ticks collects what is passed to OnTick.
type ticks struct {
	mu   sync.Mutex
	all  map[PoolKey][]time.Time
	news []PoolKey
}

func (k *ticks) onTick(keys []PoolKey, news bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all == nil {
		k.all = make(map[PoolKey][]time.Time)
	}
	for _, key := range keys {
		k.all[key] = append(k.all[key], time.Now())
	}
	if news {
		k.news = append(k.news, keys...)
	}
}

// takeNews returns the pools with news since the last call.
func (k *ticks) takeNews() []PoolKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	news := k.news
	k.news = nil
	return news
}

// take returns the ticks of a pool since the last call.
func (k *ticks) take(key PoolKey) []time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.all[key]
	delete(k.all, key)
	return t
}

func TestPoolsShareAConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.name("jobs", "10.0.0.1")
		srv := n.server("10.0.0.1:4730")
		var k ticks
		w := watch(t, n, Options{OnTick: k.onTick})
		key := func(i int) PoolKey { return PoolKey{fmt.Sprintf("ns-%d", i%10), fmt.Sprintf("pool-%d", i)} }
		const pools = 1000
		for i := range pools {
			srv.function(fmt.Sprintf("f%d", i), i, 0, 0)
			server := "jobs"
			if i%2 == 0 {
				server = "10.0.0.1" // another way to the same job server
			}
			set(t, w, key(i), Subscription{Servers: []string{server}, Functions: []string{fmt.Sprintf("f%d", i)}})
		}
		time.Sleep(2 * time.Second)
		before := srv.count("status")
		time.Sleep(100 * time.Second)
		if polls := srv.count("status") - before; polls < 18 || polls > 22 {
			t.Errorf("%d polls in 100 s at a period of 5 s", polls)
		}
		if srv.open() != 1 || srv.count("workers") != 0 {
			t.Errorf(
				"%d connections, %d questions for the workers of pools that have no pods", srv.open(),
				srv.count("workers"),
			)
		}
		for i := range pools {
			if s := sample(t, w, key(i)); s.Functions[0].Total != int64(i) {
				t.Fatalf("pool %d: %+v", i, s)
			}
			if n := len(k.take(key(i))); n < 19 || n > 25 {
				t.Errorf("pool %d was due %d times in 102 s at a period of 5 s", i, n)
			}
		}
		for i := range pools {
			w.Remove(key(i))
		}
		time.Sleep(time.Second)
		isEmpty(t, w)
		if srv.open() != 0 {
			t.Errorf("after all pools are gone: %d connections", srv.open())
		}
		if _, ok := w.Sample(key(1), time.Now()); ok {
			t.Error("a sample of a pool that is gone")
		}
		w.Remove(key(1))
		w.SetPods(key(1), []PodRef{{UID: "0a1b2c3d"}})
	})
}

func TestPeriodFollowsThePools(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		srv := n.server("10.0.0.1:4730")
		var k ticks
		w := watch(t, n, Options{OnTick: k.onTick})
		slow := Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{"slow"}, Period: 10 * time.Second}
		fast := Subscription{
			Servers: []string{"10.0.0.1"}, Functions: []string{"fast"}, Period: 5 * time.Second, AtZero: true,
		}
		polls := func(during time.Duration) int {
			before := srv.count("status")
			time.Sleep(during)
			return srv.count("status") - before
		}
		set(t, w, PoolKey{"ns", "slow"}, slow)
		time.Sleep(3 * time.Second)
		if n := polls(100 * time.Second); n < 9 || n > 10*10/9+2 {
			t.Errorf("%d polls in 100 s at 10 s", n)
		}
		set(t, w, PoolKey{"ns", "fast"}, fast)
		// One each second, up to a twentieth earlier at random.
		if n := polls(100 * time.Second); n < 95 || n > 100*10/9+2 {
			t.Errorf("%d polls in 100 s with a pool at zero", n)
		}
		k.take(PoolKey{"ns", "fast"})
		k.take(PoolKey{"ns", "slow"})
		time.Sleep(100 * time.Second)
		if n := len(k.take(PoolKey{"ns", "slow"})); n < 9 || n > 12 {
			t.Errorf("the slow pool was due %d times in 100 s though nothing of it changed", n)
		}
		k.take(PoolKey{"ns", "fast"})
		if news := k.takeNews(); len(news) > 0 {
			t.Errorf("news without a job: %v", news)
		}
		submitted := time.Now()
		srv.function("fast", 1, 0, 0)
		srv.function("slow", 1, 0, 0)
		time.Sleep(1200 * time.Millisecond)
		if got := k.take(PoolKey{"ns", "fast"}); len(got) == 0 || got[0].Sub(submitted) > 1100*time.Millisecond {
			t.Errorf("a job for a pool at zero came at %v, the pool was due at %v", submitted, got)
		}
		if news := k.takeNews(); !slices.Equal(news, []PoolKey{{"ns", "fast"}}) {
			t.Errorf("jobs for a pool at zero and for one with pods: news of %v", news)
		}
		fast.AtZero = false
		set(t, w, PoolKey{"ns", "fast"}, fast)
		time.Sleep(2 * time.Second)
		if n := polls(100 * time.Second); n < 18 || n > 22 {
			t.Errorf("%d polls in 100 s at 5 s", n)
		}
		w.Remove(PoolKey{"ns", "fast"})
		time.Sleep(6 * time.Second)
		if n := polls(100 * time.Second); n < 9 || n > 10*10/9+2 {
			t.Errorf("%d polls in 100 s at 10 s again", n)
		}
		// A pool with a shorter period is.
		slow.Period = time.Hour
		set(t, w, PoolKey{"ns", "slow"}, slow)
		time.Sleep(time.Minute)
		k.take(PoolKey{"ns", "slow"})
		slow.Period = 10 * time.Second
		set(t, w, PoolKey{"ns", "slow"}, slow)
		time.Sleep(100 * time.Second)
		if n := len(k.take(PoolKey{"ns", "slow"})); n < 8 || n > 12 {
			t.Errorf("the slow pool was due %d times in 100 s", n)
		}
		// A new function on a slow server is known within a second or so.
		slow.Functions = []string{"slow", "new"}
		srv.function("new", 7, 0, 0)
		set(t, w, PoolKey{"ns", "slow"}, slow)
		if s := sample(t, w, PoolKey{"ns", "slow"}); !s.Partial || s.Servers[0].State != StateConnecting {
			t.Errorf("a function that no answer covered yet is unknown: %+v", s)
		}
		time.Sleep(1100 * time.Millisecond)
		if s := sample(t, w, PoolKey{"ns", "slow"}); s.Partial || s.Functions[1].Total != 7 {
			t.Errorf("%+v", s)
		}
	})
}

// While a pool's servers never answer it still gets its ticks, so that the fallback can act.
func TestTicksWithoutAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.server("10.0.0.1:4730").blackHole = true
		var k ticks
		w := watch(t, n, Options{OnTick: k.onTick})
		set(t, w, poolA, Subscription{Servers: []string{"10.0.0.1", "nowhere"}, Functions: []string{"f"}})
		time.Sleep(10 * time.Minute)
		if n := len(k.take(poolA)); n < 80 || n > 130 {
			t.Errorf("due %d times in 600 s at a period of 5 s", n)
		}
	})
}

func TestAddressPolicy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.name("jobs", "10.0.0.1", "169.254.169.254")
		srv, bad := n.server("10.0.0.1:4730"), n.server("169.254.169.254:4730")
		srv.function("f", 3, 0, 0)
		var asked []string
		w := watch(t, n, Options{AddressPolicy: func(namespace string, addr netip.AddrPort, name string) error {
			asked = append(asked, namespace+" "+addr.Addr().String()+" "+name)
			if namespace == "mean" {
				return errors.New("no")
			}
			return new(access.Policy).Check(namespace, addr, name)
		}})
		sub := Subscription{Servers: []string{"jobs"}, Functions: []string{"f"}, StaleAfter: time.Minute}
		mean := PoolKey{"mean", "a"}
		set(t, w, poolA, sub)
		set(t, w, mean, sub)
		time.Sleep(30 * time.Second)
		s := sample(t, w, poolA)
		if !s.Partial || s.Functions[0].Total != 3 || s.Servers[0].State != StateOK ||
			s.Servers[1].State != StateNotAllowed {
			t.Errorf("%+v", s)
		}
		s = sample(t, w, mean)
		if !s.Partial || s.NoAnswerSince.IsZero() || s.Functions[0].Total != 0 ||
			s.Servers[0].State != StateNotAllowed || s.Servers[0].Fresh {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Minute)
		if s := sample(t, w, poolA); s.Partial || !s.Servers[1].LeftOut {
			t.Errorf("after staleAfter: %+v", s)
		}
		if bad.dialled() != 0 {
			t.Error("a refused address was dialled")
		}
		slices.Sort(asked)
		if diff := cmp.Diff(
			[]string{"mean 10.0.0.1 jobs", "mean 169.254.169.254 jobs", "ns 10.0.0.1 jobs", "ns 169.254.169.254 jobs"},
			slices.Compact(asked),
		); diff != "" {
			t.Error(diff)
		}
	})
}

// A pool learns about a job server that no rule lists only whether it answers.
func TestStatesOfUnlistedServers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		list := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"} // open, closed, silent, another protocol
		n.server("10.0.0.1:4730")
		n.server("10.0.0.3:4730").set(func(s *fakeServer) { s.blackHole = true })
		n.server("10.0.0.4:4730").set(
			func(s *fakeServer) { s.answer = func(string) (string, bool) { return "HTTP/1.1 400\r\n", true } },
		)
		w := watch(
			t, n,
			Options{Listed: func(namespace string, _ netip.AddrPort, _ string) bool { return namespace == "listed" }},
		)
		sub := Subscription{Servers: list, Functions: []string{"f"}}
		listed := PoolKey{"listed", "a"}
		set(t, w, poolA, sub)
		set(t, w, listed, sub)
		time.Sleep(20 * time.Second)
		states := func(key PoolKey) (out []State) {
			s := sample(t, w, key)
			for i := range s.Servers {
				out = append(out, s.Servers[i].Reported())
			}
			return out
		}
		if diff := cmp.Diff([]State{StateOK, StateNoAnswer, StateNoAnswer, StateNoAnswer}, states(poolA)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(
			[]State{StateOK, StateRefused, StateUnreachable, StateBadAnswer}, states(listed),
		); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSetRefuses(t *testing.T) {
	t.Parallel()
	good := Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{"f"}}
	tests := map[string]func(*Subscription){
		"no server":        func(s *Subscription) { s.Servers = nil },
		"bad server":       func(s *Subscription) { s.Servers = []string{"jobs:x"} },
		"no function":      func(s *Subscription) { s.Functions = nil },
		"empty function":   func(s *Subscription) { s.Functions = []string{""} },
		"doubled function": func(s *Subscription) { s.Functions = []string{"f", "f"} },
		"negative":         func(s *Subscription) { s.Period = -1 },
		"TLS":              func(s *Subscription) { s.TLS = &TLS{} },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := New(Options{})
			set(t, w, poolA, good)
			bad := good
			spoil(&bad)
			if err := w.Set(poolA, bad); err == nil {
				t.Error("no error")
			}
			if diff := cmp.Diff([]string{"f"}, w.pools[poolA].functions); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTLSIsSharedWithinANamespace(t *testing.T) {
	t.Parallel()
	w := New(Options{})
	config := func(context.Context) (*tls.Config, error) { return nil, errors.New("none") }
	sub := func(identity string) Subscription {
		s := Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{"f"}}
		if identity != "" {
			s.TLS = &TLS{Identity: identity, Config: config}
		}
		return s
	}
	for i, tt := range []struct {
		namespace, identity string
		servers             int
	}{{"one", "", 1}, {"two", "", 1}, {"one", "x", 2}, {"one", "x", 2}, {"one", "y", 3}, {"two", "x", 4}} {
		set(t, w, PoolKey{tt.namespace, fmt.Sprint(i)}, sub(tt.identity))
		if w.Entries()["jobServers"] != tt.servers {
			t.Errorf("after pool %d: %d connections, want %d", i, w.Entries()["jobServers"], tt.servers)
		}
	}
	// A pool that changes its TLS closes the former connection if no other pool uses it.
	set(t, w, PoolKey{"one", "4"}, sub("x"))
	if got := w.Entries()["jobServers"]; got != 3 {
		t.Errorf("%d connections", got)
	}
}

func TestRunOnce(t *testing.T) {
	t.Parallel()
	w := New(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(ctx); err != nil {
		t.Error(err)
	}
	if err := w.Run(ctx); err == nil {
		t.Error("a second Run: no error")
	}
	set(t, w, poolA, Subscription{Servers: []string{"jobs"}, Functions: []string{"f"}}) // starts nothing
}
