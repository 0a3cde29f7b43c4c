package backlog

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Each of these answers is no answer: the previous figures stay, and become stale in time.
func TestBadAnswersAreNoAnswers(t *testing.T) {
	t.Parallel()
	status := func(answer string) func(*fakeServer) {
		return func(s *fakeServer) {
			s.answer = func(command string) (string, bool) { return answer, command == "status" }
		}
	}
	tests := map[string]struct {
		fault func(*fakeServer)
		state State
	}{
		"hung":             {func(s *fakeServer) { s.hang = true }, StateTimedOut},
		"no end":           {status("resize\t0\t0\t0\n"), StateBadAnswer},
		"end cut":          {status("resize\t0\t0\t0\n."), StateTimedOut},
		"no row of status": {status("resize\t0\t0\n.\n"), StateBadAnswer},
		"error":            {status("ERR UNKNOWN_COMMAND\r\n.\n"), StateBadAnswer},
		"another protocol": {status("HTTP/1.1 400 Bad Request\r\n\r\n"), StateBadAnswer},
		"only a long row":  {status(strings.Repeat("x", 70<<10) + "\t0\t0\t0\n.\n"), StateBadAnswer},
		"no echo":          {func(s *fakeServer) { s.echoes = func([]byte) []byte { return nil } }, StateTimedOut},
		"another echo": {
			func(s *fakeServer) { s.echoes = func(b []byte) []byte { b[len(b)-1] ^= 1; return b } }, StateTimedOut,
		},
		"bytes after the end": {
			func(s *fakeServer) { s.echoes = func(b []byte) []byte { return append(b, '.') } }, StateBadAnswer,
		},
		"connection refused": {func(s *fakeServer) { s.refuse = true }, StateRefused},
		"black hole":         {func(s *fakeServer) { s.blackHole = true }, StateUnreachable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				srv := n.server("10.0.0.1:4730")
				srv.function("resize", 5, 2, 3)
				w := watch(t, n, Options{})
				set(t, w, poolA, Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{"resize"}})
				time.Sleep(time.Second)
				good := time.Now()
				if s := sample(t, w, poolA); s.Partial || s.Functions[0].Total != 5 {
					t.Fatalf("before the fault: %+v", s)
				}
				srv.set(tt.fault)
				srv.cut() // also makes it dial again
				time.Sleep(13 * time.Second)
				s := sample(t, w, poolA)
				if s.Functions[0].Total != 5 || s.Servers[0].State != tt.state {
					t.Errorf("under the fault: %+v", s)
				}
				if s.Partial || !s.Servers[0].Fresh {
					t.Errorf("stale before three periods are over: %+v", s)
				}
				if lost := good.Sub(s.PossibleRestart); lost < 0 || lost > time.Second {
					t.Errorf("possible restart at %v, cut at %v", s.PossibleRestart, good)
				}
				time.Sleep(3 * time.Second)
				if s := sample(t, w, poolA); !s.Partial || s.Servers[0].Fresh {
					t.Errorf("not stale though three periods are over: %+v", s)
				}
				time.Sleep(time.Minute)
				s = sample(t, w, poolA)
				if s.Functions[0].Total != 5 || !s.Partial || s.Servers[0].Fresh || s.Servers[0].LeftOut ||
					s.Servers[0].State != tt.state {
					t.Errorf("under a long fault: %+v", s)
				}
				if d := good.Sub(s.NoAnswerSince); d < 0 || d > time.Second {
					t.Errorf("no answer since %v, last good one before %v", s.NoAnswerSince, good)
				}
				srv.set(
					func(s *fakeServer) {
						s.answer, s.echoes, s.hang, s.blackHole, s.refuse = nil, nil, false, false, false
					},
				)
				srv.function("resize", 1, 0, 0)
				time.Sleep(time.Minute)
				s = sample(t, w, poolA)
				if s.Partial || s.Functions[0].Total != 1 || s.Servers[0].State != StateOK ||
					!s.NoAnswerSince.IsZero() {
					t.Errorf("after the fault: %+v", s)
				}
				if !s.PossibleRestart.After(good.Add(time.Minute)) {
					t.Errorf("the hold must start with the new connection; it started at %v", s.PossibleRestart)
				}
			})
		})
	}
}

// A fault on a good connection that should be silent: bytes arrive, or it ends.
func TestIdleConnection(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		do    func(*fakeServer)
		state State
	}{
		"closed":           {(*fakeServer).cut, StateClosed},
		"unasked for data": {func(s *fakeServer) { s.write("resize\t0\t0\t0\n") }, StateBadAnswer},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				srv := n.server("10.0.0.1:4730")
				w := watch(t, n, Options{})
				set(
					t, w, poolA,
					Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{"resize"}, Period: time.Minute},
				)
				time.Sleep(10 * time.Second)
				tt.do(srv)
				time.Sleep(time.Millisecond)
				s := sample(t, w, poolA)
				if s.Servers[0].State != tt.state || !s.PossibleRestart.Equal(time.Now().Add(-time.Millisecond)) {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// A function whose name contains line ends makes an answer look as if it ended early, even if the
// rest comes later. The other functions lose nothing.
func TestFakedEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		srv := n.server("10.0.0.1:4730")
		srv.set(func(s *fakeServer) {
			s.answer = func(command string) (string, bool) {
				return "ev\n.\n" + pause + "il\t0\t0\t1\nresize\t5\t0\t0\n.\n", command == "status"
			}
		})
		w := watch(t, n, Options{})
		set(t, w, poolA, Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{"resize"}})
		time.Sleep(2 * time.Second)
		for range 20 {
			time.Sleep(time.Second)
			if s := sample(t, w, poolA); s.Functions[0].Total != 5 || s.Partial || s.Servers[0].State != StateOK {
				t.Fatalf("%+v", s)
			}
		}
	})
}

// Whatever the names and counts of other functions are, and however often a name comes, the pool's
// figures are right.
func TestRowsOfAnyShape(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rows           string
		total, running int64
	}{
		"equal rows":           {"resize\t5\t2\t1\nresize\t3\t0\t1\n", 8, 2},
		"-1 running":           {"resize\t5\t-1\t1\n", 5, 0},
		"-1 running, unsigned": {"resize\t5\t4294967295\t1\n", 5, 0},
		"-1 in all":            {"resize\t4294967295\t4294967295\t4294967295\n", 0, 0},
		"-1 of another":        {"other\t5\t4294967295\t1\nresize\t5\t2\t1\n", 5, 2},
		"silly counts of another": {
			"other\t99999999999\t1\t1\nx\t1\t1\t99999999999999999999999\nresize\t5\t2\t1\n", 5, 2,
		},
		"silly and right":       {"resize\t99999999999\t0\t0\nresize\t5\t2\t1\n", 5, 2},
		"a row cut and right":   {"resize\t1\nresize\t5\t2\t1\n", 5, 2},
		"no tabs":               {"resize\nother\nresize\t5\t2\t1\n", 5, 2},
		"an empty row":          {"\n\nresize\t5\t2\t1\n\n", 5, 2},
		"an empty name":         {"\t5\t2\t1\nresize\t5\t2\t1\n", 5, 2},
		"not UTF-8":             {"\xff\xfe\t5\t2\t1\nresize\t5\t2\t1\n", 5, 2},
		"a dot":                 {".\nresize\t5\t2\t1\n.\n.\r\n", 5, 2},
		"a long name":           {strings.Repeat("x", 200<<10) + "\t1\t1\t1\nresize\t5\t2\t1\n", 5, 2},
		"sums beyond the bound": {strings.Repeat("resize\t1000000000\t0\t0\n", 9), maxCount, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				srv := n.server("10.0.0.1:4730")
				srv.set(func(s *fakeServer) {
					s.answer = func(command string) (string, bool) { return tt.rows + ".\n", command == "status" }
				})
				w := watch(t, n, Options{})
				set(t, w, poolA, Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{"resize"}})
				time.Sleep(time.Minute)
				s := sample(t, w, poolA)
				if f := s.Functions[0]; s.Partial || f.Total != tt.total || f.Running != tt.running ||
					s.Servers[0].State != StateOK {
					t.Errorf("%+v", s)
				}
				if srv.dialled() > 4 { // the poller and three checks for a balancer
					t.Errorf("%d connections", srv.dialled())
				}
			})
		})
	}
}

// An impossible row keeps only its own function's old figures; those of another pool on the same
// server are as fresh as ever.
func TestABadRowCostsItsFunction(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]string{
		"an impossible count": "resize\t9999999999\t0\t0\n", "a row cut": "resize\t0\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				srv := n.server("10.0.0.1:4730")
				srv.function("resize", 5, 0, 0)
				srv.function("mail", 1, 0, 0)
				w := watch(t, n, Options{})
				poolB := PoolKey{"ns", "b"}
				set(t, w, poolA, Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{"resize"}})
				set(t, w, poolB, Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{"mail"}})
				time.Sleep(time.Second)
				srv.set(func(s *fakeServer) {
					s.answer = func(command string) (string, bool) {
						return row + "mail\t7\t0\t0\n.\n", command == "status"
					}
				})
				time.Sleep(time.Minute)
				if s := sample(t, w, poolA); !s.Partial || s.Functions[0].Total != 5 ||
					s.Servers[0].State != StateStale {
					t.Errorf("the pool of the row: %+v", s)
				}
				if s := sample(t, w, poolB); s.Partial || s.Functions[0].Total != 7 || s.Servers[0].State != StateOK {
					t.Errorf("another pool: %+v", s)
				}
				srv.set(func(s *fakeServer) { s.answer = nil })
				time.Sleep(10 * time.Second)
				if s := sample(t, w, poolA); s.Partial || s.Servers[0].State != StateOK {
					t.Errorf("after it: %+v", s)
				}
			})
		})
	}
}

// The Perl server omits the rows of functions without jobs: a missing row in a whole answer is
// zero.
func TestVanishedRow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		srv := n.server("10.0.0.1:4730")
		srv.function("resize", 5, 0, 0)
		w := watch(t, n, Options{})
		set(t, w, poolA, Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{"resize"}})
		time.Sleep(time.Second)
		srv.set(func(s *fakeServer) { clear(s.functions) })
		time.Sleep(6 * time.Second)
		if s := sample(t, w, poolA); s.Functions[0].Total != 0 || s.Partial {
			t.Errorf("%+v", s)
		}
	})
}

func TestLeftOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.name("jobs", "10.0.0.1", "10.0.0.2")
		one, two := n.server("10.0.0.1:4730"), n.server("10.0.0.2:4730")
		one.function("resize", 5, 0, 0)
		two.function("resize", 3, 0, 0)
		w := watch(t, n, Options{})
		set(
			t, w, poolA,
			Subscription{
				Servers: []string{"jobs", "typo"}, Functions: []string{"resize"}, StaleAfter: 10 * time.Minute,
			},
		)
		time.Sleep(time.Minute)
		s := sample(t, w, poolA)
		if !s.Partial || s.Functions[0].Total != 8 || len(s.Servers) != 3 || s.Servers[2].State != StateNameNotFound {
			t.Errorf("with a name that doesn't resolve: %+v", s)
		}
		time.Sleep(10 * time.Minute)
		s = sample(t, w, poolA)
		if s.Partial || s.Functions[0].Total != 8 || !s.Servers[2].LeftOut {
			t.Errorf("after staleAfter it counts no longer: %+v", s)
		}
		two.set(func(s *fakeServer) { s.refuse = true })
		two.cut()
		time.Sleep(9 * time.Minute)
		s = sample(t, w, poolA)
		if !s.Partial || s.Functions[0].Total != 8 || s.Servers[1].LeftOut {
			t.Errorf("silent, not yet left out: %+v", s)
		}
		time.Sleep(2 * time.Minute)
		s = sample(t, w, poolA)
		if s.Partial || s.Functions[0].Total != 5 || !s.Servers[1].LeftOut || s.Servers[1].State != StateRefused {
			t.Errorf("left out: %+v", s)
		}
		one.set(func(s *fakeServer) { s.refuse = true })
		one.cut()
		time.Sleep(11 * time.Minute)
		s = sample(t, w, poolA)
		if !s.Partial || s.NoAnswerSince.IsZero() || s.Functions[0].Total != 0 {
			t.Errorf("all left out is unknown, not zero: %+v", s)
		}
		two.set(func(s *fakeServer) { s.refuse = false })
		time.Sleep(time.Minute)
		s = sample(t, w, poolA)
		if s.Partial || s.Functions[0].Total != 3 || s.Servers[1].LeftOut || !s.NoAnswerSince.IsZero() {
			t.Errorf("back: %+v", s)
		}
	})
}

func TestNamesThatFail(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fail  func(*network)
		state State
	}{
		"not found": {func(n *network) { n.noName("jobs") }, StateNameNotFound},
		"empty":     {func(n *network) { n.name("jobs") }, StateNoAddress},
		"no answer": {func(n *network) { n.nameFails("jobs", errors.New("timeout")) }, StateUnresolved},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.name("jobs", "10.0.0.1")
				n.server("10.0.0.1:4730").function("resize", 5, 0, 0)
				w := watch(t, n, Options{})
				set(t, w, poolA, Subscription{Servers: []string{"jobs"}, Functions: []string{"resize"}})
				time.Sleep(time.Second)
				tt.fail(n)
				time.Sleep(13 * time.Second)
				if s := sample(t, w, poolA); s.Partial != (tt.state != StateUnresolved) {
					t.Errorf("after one look-up: %+v", s)
				}
				time.Sleep(time.Hour / 2)
				s := sample(t, w, poolA)
				if !s.Partial || s.Functions[0].Total != 5 || len(s.Servers) != 2 || s.Servers[0].State != StateOK ||
					s.Servers[1].State != tt.state {
					t.Errorf("%+v", s)
				}
				n.name("jobs", "10.0.0.1")
				time.Sleep(12 * time.Second)
				if s := sample(t, w, poolA); s.Partial || len(s.Servers) != 1 {
					t.Errorf("after it: %+v", s)
				}
			})
		})
	}
}

func TestHeadlessService(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.name("jobs", "10.0.0.1", "10.0.0.2")
		one, two := n.server("10.0.0.1:4730"), n.server("10.0.0.2:4730")
		one.function("resize", 1, 0, 0)
		two.function("resize", 2, 0, 0)
		w := watch(t, n, Options{})
		set(t, w, poolA, Subscription{Servers: []string{"jobs"}, Functions: []string{"resize"}, Hold: 5 * time.Minute})
		total := func() (int64, int, bool) {
			s := sample(t, w, poolA)
			return s.Functions[0].Total, len(s.Servers), s.Partial
		}
		expect := func(what string, wantTotal int64, wantServers int, wantPartial bool) {
			t.Helper()
			if total, servers, partial := total(); total != wantTotal || servers != wantServers ||
				partial != wantPartial {
				t.Errorf(
					"%s: %d jobs on %d servers, partial %v; want %d, %d, %v", what, total, servers, partial, wantTotal,
					wantServers, wantPartial,
				)
			}
		}
		time.Sleep(time.Second)
		expect("two", 3, 2, false)
		n.server("10.0.0.3:4730").function("resize", 4, 0, 0)
		n.name("jobs", "10.0.0.1", "10.0.0.2", "10.0.0.3")
		time.Sleep(12 * time.Second)
		expect("one more", 7, 3, false)

		n.name("jobs", "10.0.0.1", "10.0.0.3")
		time.Sleep(time.Hour)
		expect("gone from the name, alive and with jobs", 7, 3, false)

		two.set(func(s *fakeServer) { s.refuse = true })
		two.cut()
		time.Sleep(4 * time.Minute)
		expect("gone and silent, within the hold", 7, 3, true)
		time.Sleep(2 * time.Minute)
		expect("gone and silent for the hold", 5, 2, false)

		one.function("resize", 0, 0, 0)
		n.name("jobs", "10.0.0.3")
		time.Sleep(4 * time.Minute)
		expect("gone and empty, within the hold", 4, 2, false)
		time.Sleep(3 * time.Minute)
		expect("gone and empty for the hold", 4, 1, false)
		if one.count("status") == 0 || one.open() != 0 {
			t.Errorf("the connection to a dropped server is open")
		}
	})
}

// A function that is added while an answer is read may be in the part that has been read already.
func TestFunctionAddedDuringAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		srv := n.server("10.0.0.1:4730")
		srv.set(func(s *fakeServer) {
			s.answer = func(command string) (string, bool) {
				return "new\t7\t0\t0\n" + pause + "resize\t5\t0\t0\n.\n", command == "status"
			}
		})
		w := watch(t, n, Options{})
		sub := Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{"resize"}}
		set(t, w, poolA, sub)
		time.Sleep(500 * time.Millisecond) // in the pause
		sub.Functions = []string{"resize", "new"}
		set(t, w, poolA, sub)
		time.Sleep(time.Second) // one answer has ended
		if s := sample(t, w, poolA); !s.Partial || s.Functions[0].Total != 5 || s.Functions[1].Total != 0 {
			t.Errorf("half known: %+v", s)
		}
		time.Sleep(2 * time.Second)
		if s := sample(t, w, poolA); s.Partial || s.Functions[1].Total != 7 {
			t.Errorf("%+v", s)
		}
	})
}
