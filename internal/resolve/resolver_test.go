package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// A worker uses the same addresses as the operator, in whatever order they arrive, and keeps them
// while they exist.
func TestResolver(t *testing.T) {
	t.Parallel()
	var asked string
	answer, fail := addrs(100), error(nil)
	r := &Resolver{Domain: "cluster.local", Namespace: "shop", LookupNetIPWith: func(
		_ context.Context, _, host string,
	) ([]netip.Addr, error) {
		asked = host
		return answer, fail
	}}
	equal := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	look := func(want []netip.Addr) {
		t.Helper()
		got, err := r.LookupNetIP(t.Context(), "ip", "gearmand")
		if diff := cmp.Diff(want, got, equal); err != nil || diff != "" {
			t.Error(err, diff)
		}
	}
	answer = append(addrs(100)[50:], addrs(100)[:50]...)
	look(addrs(64))
	if asked != "gearmand.shop.svc.cluster.local." {
		t.Errorf("asked for %q", asked)
	}
	answer = addrs(100)[10:] // the first ten are gone
	look(addrs(74)[10:])
	answer = addrs(100) // and back: others are in use by now
	look(addrs(74)[10:])
	fail = errors.New("no answer")
	if _, err := r.LookupNetIP(t.Context(), "ip", "gearmand"); !errors.Is(err, fail) {
		t.Error(err)
	}
	fail, answer = nil, nil
	if got, err := r.LookupNetIP(t.Context(), "ip", "gearmand"); len(got) != 0 || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// fakeDNS is a name service of names without a dot. Each takes as long as the test sets.
type fakeDNS struct {
	mu    sync.Mutex
	names map[string][]netip.Addr
	takes map[string]time.Duration
}

func (b *fakeDNS) look(ctx context.Context, _, host string) ([]netip.Addr, error) {
	select {
	case <-time.After(b.takes[host]):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.names[host] == nil {
		return nil, errors.New("no such host")
	}
	return b.names[host], nil
}

func someAddrs(third, n int) (out []netip.Addr) {
	for i := range n {
		out = append(out, netip.AddrFrom4([4]byte{10, 0, byte(third), byte(i + 1)}))
	}
	return out
}

// lookAll looks all names up at once, as a worker does, and returns how many addresses each got.
func lookAll(t *testing.T, r *Resolver) map[string]int {
	t.Helper()
	got, errs := make([]int, len(r.Servers)), make([]error, len(r.Servers))
	var wg sync.WaitGroup
	for i, s := range r.Servers {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			found, err := gearman.Resolve(ctx, r, s)
			got[i], errs[i] = len(found.First), err
		})
	}
	wg.Wait()
	out := make(map[string]int)
	for i, s := range r.Servers {
		out[s.Host] = got[i]
		if errs[i] != nil && strings.Contains(errs[i].Error(), "is not among the first") {
			out[s.Host] = -1
		}
	}
	return out
}

// A pool with too many job servers uses the first: addresses, then names in their order, however
// long each look-up takes. A name that hangs costs only its own servers.
func TestResolverOfManyNames(t *testing.T) {
	t.Parallel()
	servers := func(hosts ...string) (out []gearman.Address) {
		for _, h := range hosts {
			out = append(out, gearman.Address{Host: h, Port: 4730})
		}
		return out
	}
	six := servers("a", "b", "c", "d", "e", "f")
	tests := map[string]struct {
		servers []gearman.Address
		most    int
		byName  bool
		takes   map[string]time.Duration
		missing string
		within  time.Duration
		want    map[string]int
	}{
		"all fit": {servers("a", "b"), 100, false, nil, "", 0, map[string]int{"a": 50, "b": 50}},
		"the first": {
			six, 120, false, nil, "", 0, map[string]int{"a": 50, "b": 50, "c": 20, "d": -1, "e": -1, "f": -1},
		},
		"the first is slow": {
			six, 120, false,
			map[string]time.Duration{"a": 2 * time.Second},
			"", 2 * time.Second,
			map[string]int{"a": 50, "b": 50, "c": 20, "d": -1, "e": -1, "f": -1},
		},
		"the first hangs": {
			six, 120, false,
			map[string]time.Duration{"a": time.Hour},
			"", 5 * time.Second,
			map[string]int{"a": 0, "b": 50, "c": 50, "d": 20, "e": -1, "f": -1},
		},
		"the last is slow": {
			six, 120, false,
			map[string]time.Duration{"f": 2 * time.Second},
			"", 2 * time.Second,
			map[string]int{"a": 50, "b": 50, "c": 20, "d": -1, "e": -1, "f": -1},
		},
		"one does not exist": {
			six, 120, false, nil, "b", 0, map[string]int{"a": 50, "b": 0, "c": 50, "d": 20, "e": -1, "f": -1},
		},
		"addresses first": {
			append(servers("a", "b"), servers("192.0.2.1", "192.0.2.2")...), 60, false, nil, "", 0,
			map[string]int{"a": 50, "b": 8, "192.0.2.1": 1, "192.0.2.2": 1},
		},
		"two names of the same": {
			servers("a", "same", "b"), 100, false, nil, "", 0, map[string]int{"a": 50, "same": 50, "b": 50},
		},
		"two names of them with TLS": {
			servers("a", "same", "b"), 100, true, nil, "", 0, map[string]int{"a": 50, "same": 50, "b": -1},
		},
		"two ports": {
			[]gearman.Address{{Host: "a", Port: 1}, {Host: "a", Port: 2}, {Host: "b", Port: 1}},
			110, false, nil, "", 0,
			map[string]int{"a": 50, "b": 10},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &fakeDNS{names: map[string][]netip.Addr{"same": someAddrs(0, 50)}, takes: tt.takes}
				for i, h := range []string{"a", "b", "c", "d", "e", "f"} {
					b.names[h] = someAddrs(i, 50)
				}
				delete(b.names, tt.missing)
				r := &Resolver{Servers: tt.servers, MaxServers: tt.most, ByName: tt.byName, LookupNetIPWith: b.look}
				began := time.Now()
				if diff := cmp.Diff(tt.want, lookAll(t, r)); diff != "" {
					t.Error(diff)
				}
				if took := time.Since(began); took != tt.within {
					t.Errorf("took %v, want %v", took, tt.within)
				}
			})
		})
	}
}

// A job server in use stays in use while it resolves; a new one is used only if there is room.
func TestResolverKeepsPlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &fakeDNS{names: map[string][]netip.Addr{"a": someAddrs(0, 10), "b": someAddrs(1, 10)}}
		r := &Resolver{
			Servers: []gearman.Address{{Host: "a", Port: 1}, {Host: "b", Port: 1}}, MaxServers: 15,
			LookupNetIPWith: b.look,
		}
		for i, step := range []struct {
			a, b []netip.Addr
			want map[string]int
		}{
			{someAddrs(0, 10), someAddrs(1, 10), map[string]int{"a": 10, "b": 5}},
			{someAddrs(0, 20), someAddrs(1, 10), map[string]int{"a": 10, "b": 5}},
			{someAddrs(0, 20)[15:], someAddrs(1, 10), map[string]int{"a": 5, "b": 10}},
			{someAddrs(0, 20), someAddrs(1, 10), map[string]int{"a": 5, "b": 10}},
		} {
			b.mu.Lock()
			b.names["a"], b.names["b"] = step.a, step.b
			b.mu.Unlock()
			lookAll(t, r)
			if diff := cmp.Diff(
				step.want, lookAll(t, r),
			); diff != "" { // the second time the freed room is used
				t.Errorf("step %d: %s", i, diff)
			}
		}
	})
}

func TestWithin(t *testing.T) {
	t.Parallel()
	var servers, want []string
	for i := range 9 {
		servers = append(servers, fmt.Sprintf("192.0.2.%d:4731", i), fmt.Sprintf("name-%d", i))
	}
	for _, s := range servers {
		if !strings.HasPrefix(s, "192") || len(want) < 2*4 {
			want = append(want, s)
		}
	}
	if diff := cmp.Diff(want, Within(servers, 4)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a:x", "[::1]"}, Within([]string{"a:x", "[::1]", "192.0.2.1"}, 1)); diff != "" {
		t.Error(diff)
	}
	if len(slices.Compact(servers)) != 18 {
		t.Error("the list that was given is changed")
	}
}

func TestFirst(t *testing.T) {
	t.Parallel()
	even := func(i int) bool { return i%2 == 0 }
	for most, want := range map[int][]int{
		0: {}, 1: {0}, 3: {0, 2, 4}, 4: {0, 1, 2, 4}, 6: {0, 1, 2, 3, 4, 5}, 9: {0, 1, 2, 3, 4, 5},
	} {
		if diff := cmp.Diff(want, First([]int{0, 1, 2, 3, 4, 5}, most, even)); diff != "" {
			t.Errorf("%d: %s", most, diff)
		}
	}
}
