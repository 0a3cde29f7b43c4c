package backlog

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Of ten job servers one hangs, one swallows what is sent to it, one answers garbage: the others'
// figures stay fresh, the bad ones keep their last figures, and each has the right state.
func TestThreeBadServersAmongTen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		var servers []*fakeServer
		var addrs []string
		for i := range 10 {
			addr := fmt.Sprintf("10.0.0.%d", i+1)
			s := n.server(addr + ":4730")
			s.function("f", 10, 1, 0)
			addrs, servers = append(addrs, addr), append(servers, s)
		}
		var k ticks
		w := watch(t, n, Options{OnTick: k.onTick})
		all := PoolKey{"ns", "all"}
		set(t, w, all, Subscription{Servers: addrs, Functions: []string{"f"}})
		one := func(i int) PoolKey { return PoolKey{"ns", fmt.Sprint(i)} }
		for i, a := range addrs {
			set(t, w, one(i), Subscription{Servers: []string{a}, Functions: []string{"f"}})
		}
		time.Sleep(20 * time.Second)
		bad := map[int]State{2: StateTimedOut, 5: StateUnreachable, 7: StateBadAnswer}
		servers[2].set(func(s *fakeServer) { s.hang = true })
		servers[5].set(func(s *fakeServer) { s.blackHole = true })
		servers[5].cut()
		servers[7].set(
			func(s *fakeServer) { s.answer = func(string) (string, bool) { return "\xff\x00garbage\n.\n", true } },
		)
		time.Sleep(30 * time.Second)
		before := make([]int, len(servers))
		for i, s := range servers {
			before[i] = s.count("status")
		}
		for range 300 { // ten minutes: no good server's figures are ever older than its period and a little
			time.Sleep(2 * time.Second)
			s := sample(t, w, all)
			if !s.Partial || s.Functions[0].Total != 100 || s.Functions[0].Queued != 90 || !s.NoAnswerSince.IsZero() {
				t.Fatalf("%+v", s)
			}
			if f := s.Functions[0]; f.SilentQueued != 27 || f.LongestQueue != 9 {
				t.Fatalf("behind the three 27 jobs were seen, behind each other 9: %+v", f)
			}
			for i, srv := range s.Servers {
				if state, ok := bad[i]; ok {
					if srv.State != state || srv.Fresh {
						t.Fatalf("server %d: %+v, want %v", i, srv, state)
					}
				} else if srv.State != StateOK || srv.Age(s.Time) > 5600*time.Millisecond {
					t.Fatalf("server %d: %+v", i, srv)
				}
			}
			for i := range addrs {
				_, isBad := bad[i]
				if s := sample(t, w, one(i)); s.Partial != isBad || s.Functions[0].Total != 10 {
					t.Fatalf("pool of server %d: %+v", i, s)
				}
			}
		}
		for i, s := range servers {
			polls := s.count("status") - before[i]
			if _, isBad := bad[i]; isBad && polls > 40 || !isBad && (polls < 118 || polls > 135) {
				t.Errorf("server %d was asked %d times in ten minutes", i, polls)
			}
		}
		for i := range addrs {
			least := 120
			if _, isBad := bad[i]; isBad {
				least = 85 // by the clock alone
			}
			if n := len(k.take(one(i))); n < least {
				t.Errorf("the pool of server %d had %d turns in 650 s at a period of 5 s", i, n)
			}
		}
	})
}
