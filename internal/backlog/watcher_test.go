package backlog

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSumsOverServers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.name("jobs", "10.0.0.1", "10.0.0.2", "10.0.0.2")
		one, two := n.server("10.0.0.1:4730"), n.server("10.0.0.2:4730")
		one.function("resize", 5, 2, 3)
		one.function("tab\tand space", 1, 0, 0)
		one.function("others", 9, 9, 9)
		two.function("resize", 2, -1, 1)
		w := watch(t, n, Options{})
		set(
			t, w, poolA,
			Subscription{Servers: []string{"jobs"}, Functions: []string{"resize", "tab\tand space", "absent"}},
		)
		time.Sleep(10 * time.Millisecond)
		s := sample(t, w, poolA)
		want := []FunctionSample{
			{Name: "resize", Total: 7, Running: 2, Queued: 5, LongestQueue: 3, Workers: 4},
			{Name: "tab\tand space", Total: 1, Queued: 1, LongestQueue: 1},
			{Name: "absent"},
		}
		if diff := cmp.Diff(want, s.Functions); diff != "" {
			t.Error(diff)
		}
		if s.Partial || !s.NoAnswerSince.IsZero() || !s.PossibleRestart.IsZero() || len(s.Servers) != 2 {
			t.Errorf("%+v", s)
		}
		for _, srv := range s.Servers {
			if srv.State != StateOK || !srv.Fresh || srv.Address != "jobs" {
				t.Errorf("%+v", srv)
			}
		}
	})
}
