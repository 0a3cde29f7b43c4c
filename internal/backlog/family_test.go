package backlog

import (
	"testing"
	"testing/synctest"
	"time"
)

// A name with addresses of both families is one job server: the operator uses the family that its
// workers use, which is the second one if the first can't be reached.
func TestOtherFamily(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]string{"four": "192.0.2.1:4730", "six": "[2001:db8::1]:4730"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.name("jobs", "2001:db8::1", "192.0.2.1")
				s := n.server(at)
				s.function("f", 7, 0, 1)
				w := watch(t, n, Options{})
				set(t, w, poolA, Subscription{Servers: []string{"jobs"}, Functions: []string{"f"}})
				check := func(when string) {
					t.Helper()
					got := sample(t, w, poolA)
					if got.Functions[0].Total != 7 || got.Partial || len(got.Servers) != 1 ||
						got.Servers[0].State != StateOK {
						t.Errorf(
							"%s: %d jobs, partial %v, job servers %+v; want 7 of one job server", when,
							got.Functions[0].Total, got.Partial, got.Servers,
						)
					}
				}
				time.Sleep(10 * time.Second)
				check("at first")
				// An outage is no reason to try the other family at once.
				s.set(func(s *fakeServer) { s.refuse = true })
				s.cut()
				time.Sleep(30 * time.Second)
				if got := sample(t, w, poolA); len(got.Servers) != 1 || got.Servers[0].State != StateRefused {
					t.Errorf("job servers %+v half a minute after an outage began, want the same one", got.Servers)
				}
				s.set(func(s *fakeServer) { s.refuse = false })
				time.Sleep(time.Minute)
				check("after an outage")
				// After a long one both are tried in turn.
				s.set(func(s *fakeServer) { s.refuse = true })
				s.cut()
				time.Sleep(10 * time.Minute)
				s.set(func(s *fakeServer) { s.refuse = false })
				time.Sleep(5 * time.Minute)
				check("after a long outage")
			})
		})
	}
}
