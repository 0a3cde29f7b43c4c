package backlog

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

const (
	uidOne = "11111111-4e5f-6789-abcd-ef0123456789"
	uidTwo = "22222222-4e5f-6789-abcd-ef0123456789"
)

// row is a row of `workers` for a report of a process that started startedAgo before now.
func row(ip, uid string, startedAgo time.Duration, busy int, function string, c telemetry.Counters) string {
	r := telemetry.Report{
		Start: time.Now().Add(-startedAgo).UnixMilli(), Full: true, Busy: busy, Capacity: 2, Counters: c,
	}
	copy(r.UID[:], uid)
	if function != "" {
		r.HasFunction, r.Function = true, telemetry.FunctionHash(function)
	}
	return fmt.Sprintf("%s %s : %s", ip, r.Append(nil), function)
}

// ended are the counters after n jobs of a second each.
func ended(n int64) telemetry.Counters {
	return telemetry.Counters{OK: n, OKMillis: 1000 * n, BusyMillis: 1000 * n}
}

// telemetryTest has a pool with functions f and g and two pods on two job servers.
type telemetryTest struct {
	t        *testing.T
	w        *Watcher
	one, two *fakeServer
}

func testTelemetry(t *testing.T, f func(*telemetryTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.name("jobs", "10.0.0.1", "10.0.0.2")
		tt := &telemetryTest{t: t, one: n.server("10.0.0.1:4730"), two: n.server("10.0.0.2:4730")}
		tt.w = watch(t, n, Options{})
		set(t, tt.w, poolA, Subscription{Servers: []string{"jobs"}, Functions: []string{"f", "g"}})
		tt.pods(
			PodRef{UID: uidOne, Name: "pool-a-1", IP: "10.1.0.1"},
			PodRef{UID: uidTwo, Name: "pool-a-2", IP: "10.1.0.2"},
		)
		time.Sleep(time.Minute)
		f(tt)
	})
}

func (tt *telemetryTest) pods(pods ...PodRef) { tt.w.SetPods(poolA, pods) }

// show makes a server show rows until the next answers have arrived.
func (tt *telemetryTest) show(s *fakeServer, rows ...string) {
	s.set(func(s *fakeServer) { s.workers = rows })
	time.Sleep(12 * time.Second)
}

func (tt *telemetryTest) expect(what string, f, g telemetry.Counters) Sample {
	tt.t.Helper()
	s := sample(tt.t, tt.w, poolA)
	if diff := cmp.Diff(
		[]telemetry.Counters{f, g}, []telemetry.Counters{s.Functions[0].Counters, s.Functions[1].Counters},
	); diff != "" {
		tt.t.Errorf("%s: %s", what, diff)
	}
	return s
}

func TestCountersOfNewPods(t *testing.T) {
	t.Parallel()
	testTelemetry(t, func(tt *telemetryTest) {
		none := telemetry.Counters{}
		tt.show(tt.one, "10.1.0.9 - :", row("10.1.0.1", uidOne, 0, 1, "f", ended(3)))
		s := tt.expect("a pod that started since", ended(3), none)
		if len(s.Pods) != 1 || s.Pods[0].UID != uidOne || s.Pods[0].Name != "pool-a-1" || s.Pods[0].Busy != 1 ||
			s.Pods[0].Capacity != 2 {
			t.Errorf("%+v", s.Pods)
		}
		if seen := s.Pods[0].FirstSeen; seen.IsZero() || seen.After(s.Pods[0].LastSeen) || s.Pods[0].BusySince != seen {
			t.Errorf("%+v", s.Pods)
		}
		tt.show(tt.two, row("10.1.0.1", uidOne, 12*time.Second, 1, "f", ended(3)))
		tt.expect("the same on another server", ended(3), none)
	})
}

// A pod takes no jobs if it reports so for every function. A report of 'f' (consecutive jobs fail)
// or of an unknown letter does not count.
func TestPodsThatTakeNoJobs(t *testing.T) {
	t.Parallel()
	testTelemetry(t, func(tt *telemetryTest) {
		start := time.Now()
		says := func(function string, letter byte) string {
			r := telemetry.Report{
				Start: start.UnixMilli(), Full: true, Capacity: 2, Counters: ended(1), Trouble: letter,
				HasFunction: true, Function: telemetry.FunctionHash(function),
			}
			copy(r.UID[:], uidOne)
			return fmt.Sprintf("10.1.0.1 %s : %s", r.Append(nil), function)
		}
		for _, step := range []struct {
			what string
			f, g byte
			want byte
		}{
			{"both", telemetry.TroubleStart, telemetry.TroubleStart, telemetry.TroubleStart},
			{"one of two", telemetry.TroubleStart, 0, 0},
			{
				"the other one too", telemetry.TroubleUnreachable, telemetry.TroubleUnreachable,
				telemetry.TroubleUnreachable,
			},
			{"jobs fail", telemetry.TroubleFailing, telemetry.TroubleFailing, 0},
			{"a letter of a newer worker", 'q', 'q', 0},
			{"no process is ready", telemetry.TroubleProcess, telemetry.TroubleProcess, telemetry.TroubleProcess},
			{"all is well", 0, 0, 0},
		} {
			tt.show(tt.one, says("f", step.f), says("g", step.g))
			if got := sample(t, tt.w, poolA).Pods[0].Trouble; got != step.want {
				t.Errorf("%s: %q, want %q", step.what, got, step.want)
			}
		}
	})
}

func TestCountersAddUp(t *testing.T) {
	t.Parallel()
	testTelemetry(t, func(tt *telemetryTest) {
		start := time.Now()
		at := func(uid string, busy int, function string, c telemetry.Counters) string {
			ip := map[string]string{uidOne: "10.1.0.1", uidTwo: "10.1.0.2"}[uid]
			return row(ip, uid, time.Since(start), busy, function, c)
		}
		tt.show(tt.one, at(uidOne, 0, "f", ended(3)), at(uidTwo, 2, "g", ended(10)))
		tt.expect("both", ended(3), ended(10))
		tt.show(tt.two, at(uidOne, 0, "f", ended(2)))
		tt.expect("an older report elsewhere", ended(3), ended(10))
		tt.show(tt.one, at(uidOne, 0, "g", ended(1)), at(uidTwo, 0, "g", ended(12)))
		s := tt.expect("each pod's functions", ended(3), ended(13))
		if since := time.Since(s.Pods[1].BusySince); s.Pods[1].Busy != 0 || since > 12*time.Second {
			t.Errorf("the second pod became idle: %+v", s.Pods[1])
		}
		tt.pods(PodRef{UID: uidTwo, Name: "pool-a-2", IP: "10.1.0.2"})
		tt.show(tt.one, at(uidOne, 0, "f", ended(100)), at(uidTwo, 0, "g", ended(14)))
		s = tt.expect("what a pod that is gone had counted stays, what it says is ignored", ended(3), ended(15))
		if len(s.Pods) != 1 {
			t.Errorf("%+v", s.Pods)
		}
		// Restarted container: counters from 0.
		start = time.Now()
		tt.show(tt.one, at(uidTwo, 0, "g", ended(1)))
		tt.expect("a new life", ended(3), ended(16))
		start = start.Add(-time.Minute)
		tt.show(tt.two, at(uidTwo, 1, "g", ended(14)))
		s = tt.expect("the dead connection of the former life", ended(3), ended(16))
		if s.Pods[0].Busy != 0 {
			t.Errorf("the former life's busy counts: %+v", s.Pods[0])
		}
	})
}

func TestCountersOfPodsFromBefore(t *testing.T) {
	t.Parallel()
	testTelemetry(t, func(tt *telemetryTest) {
		tt.show(tt.one, row("10.1.0.1", uidOne, time.Hour, 1, "f", ended(1000)))
		tt.expect("counted before we came", telemetry.Counters{}, telemetry.Counters{})
		tt.show(tt.one, row("10.1.0.1", uidOne, time.Hour+12*time.Second, 1, "f", ended(1002)))
		tt.expect("counted since", ended(2), telemetry.Counters{})
	})
}

// TestRetriesAndDeadLettersAreSummed: over pods and processes, including workers that don't report
// them.
func TestRetriesAndDeadLettersAreSummed(t *testing.T) {
	t.Parallel()
	testTelemetry(t, func(tt *telemetryTest) {
		start := time.Now()
		counters := func(deadLettered, retried int64) telemetry.Counters {
			return telemetry.Counters{Failed: 3, DeadLettered: deadLettered, Requeued: 5, Retried: retried}
		}
		tt.show(
			tt.one, row("10.1.0.1", uidOne, time.Since(start), 0, "f", counters(1, 2)),
			row("10.1.0.2", uidTwo, time.Since(start), 0, "f", counters(0, 0)),
		)
		tt.expect("two pods", counters(1, 2).Add(counters(0, 0)), telemetry.Counters{})
		tt.show(tt.two, row("10.1.0.1", uidOne, time.Since(start), 0, "f", counters(2, 4)))
		tt.expect("they grow", counters(2, 4).Add(counters(0, 0)), telemetry.Counters{})
		tt.show(tt.one, row("10.1.0.1", uidOne, time.Since(start), 0, "f", counters(1, 2)))
		tt.expect("an older report", counters(2, 4).Add(counters(0, 0)), telemetry.Counters{})
		tt.show(tt.one, row("10.1.0.1", uidOne, 0, 0, "f", counters(1, 1)))
		tt.expect("after a restart", counters(2, 4).Add(counters(0, 0)).Add(counters(1, 1)), telemetry.Counters{})
	})
}

func TestCountersWhenFunctionsChange(t *testing.T) {
	t.Parallel()
	testTelemetry(t, func(tt *telemetryTest) {
		start := time.Now()
		tt.show(tt.one, row("10.1.0.1", uidOne, time.Since(start), 0, "g", ended(5)))
		set(t, tt.w, poolA, Subscription{Servers: []string{"jobs"}, Functions: []string{"g", "h"}})
		tt.expect("kept by name", ended(5), telemetry.Counters{})
		tt.show(tt.one, row("10.1.0.1", uidOne, time.Since(start), 0, "g", ended(6)))
		tt.expect("goes on", ended(6), telemetry.Counters{})
		tt.show(tt.one, row("10.1.0.1", uidOne, time.Since(start), 0, "f", ended(50)))
		tt.expect("a function it has no more", ended(6), telemetry.Counters{})
		// Without a hash the counters belong to the only function.
		tt.show(tt.one, row("10.1.0.1", uidOne, time.Since(start), 0, "", ended(7)))
		tt.expect("no hash, two functions", ended(6), telemetry.Counters{})
		set(t, tt.w, poolA, Subscription{Servers: []string{"jobs"}, Functions: []string{"g"}})
		time.Sleep(12 * time.Second)
		if s := sample(t, tt.w, poolA); s.Functions[0].Counters != ended(7) {
			t.Errorf("no hash, one function: %+v", s.Functions)
		}
	})
}

func TestForgedTelemetry(t *testing.T) {
	t.Parallel()
	// Each row is next to the true one, or before it, and must change nothing.
	tests := map[string]func() string{
		"another address":        func() string { return row("10.9.0.9", uidOne, 0, 2, "f", ended(7)) },
		"newer, another address": func() string { return row("10.9.0.9", uidOne, -time.Minute, 2, "f", ended(60)) },
		"from the future":        func() string { return row("10.1.0.1", uidOne, -7*time.Minute, 2, "f", ended(1)) },
		"busier than can be":     func() string { return row("10.1.0.1", uidOne, 0, 2, "f", ended(1_000_000)) },
		"unknown uid":            func() string { return row("10.1.0.1", "33333333", 0, 2, "f", ended(7)) },
		"another pod's name": func() string {
			return row(
				"10.1.0.1", uidOne, 0, 2, "f", ended(7),
			)[:len(row("10.1.0.1", uidOne, 0, 2, "f", ended(7)))-4] + ";p=x : f"
		},
		"garbled":                 func() string { return "10.1.0.1 gwp1;u=11111111;s=1;b=x;c=1 : f" },
		"id with a line end":      func() string { return "10.1.0.1 a : f\nb :" },
		"id with white space":     func() string { return "10.1.0.1 gwp1;u=11111111 ;s=1 : f" },
		"nothing but a number":    func() string { return "" },
		"row longer than a chunk": func() string { return "10.1.0.8 - :" + longRow },
		"brief id":                func() string { return "10.1.0.1 gwp1;u=11111111;s=1764000000000 : f" },
	}
	for name, forged := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testTelemetry(t, func(tt *telemetryTest) {
				start := time.Now()
				truth := func(n int64) string { return row("10.1.0.1", uidOne, time.Since(start), 1, "f", ended(n)) }
				tt.show(tt.one, forged(), truth(3), forged())
				tt.expect("beside the true row", ended(3), telemetry.Counters{})
				tt.show(tt.two, forged())
				tt.show(tt.one, truth(5))
				s := tt.expect("on another server", ended(5), telemetry.Counters{})
				if len(s.Pods) != 1 || s.Pods[0].Busy != 1 {
					t.Errorf("%+v", s.Pods)
				}
			})
		})
	}
}

var longRow = func() (s string) {
	for i := range 12_000 {
		s += fmt.Sprintf(" fun%d", i)
	}
	return s
}()

// If no row comes from the pod's own address (the network translates addresses), those from
// elsewhere are believed, until one does.
func TestTranslatedAddresses(t *testing.T) {
	t.Parallel()
	testTelemetry(t, func(tt *telemetryTest) {
		start := time.Now()
		tt.show(tt.one, row("10.9.0.9", uidOne, time.Since(start), 1, "f", ended(3)))
		tt.expect("translated", ended(3), telemetry.Counters{})
		// A false report with large counters; then the pod itself is seen.
		tt.show(tt.one, row("10.9.0.9", uidOne, time.Since(start)-time.Minute, 2, "f", ended(30)))
		tt.expect("forged, can't be told", ended(33), telemetry.Counters{})
		tt.show(tt.two, row("::ffff:10.1.0.1", uidOne, time.Since(start), 1, "f", ended(4)))
		s := tt.expect("the pod itself: sums don't go back", ended(33), telemetry.Counters{})
		if s.Pods[0].Busy != 1 {
			t.Errorf("%+v", s.Pods[0])
		}
		tt.show(tt.two, row("10.1.0.1", uidOne, time.Since(start), 1, "f", ended(6)))
		tt.expect("counts on from the truth", ended(35), telemetry.Counters{})
	})
}

func TestPodsWithOneStartOfUID(t *testing.T) {
	t.Parallel()
	testTelemetry(t, func(tt *telemetryTest) {
		twin := uidOne[:8] + "-0000-0000-0000-000000000000"
		key := PoolKey{"ns", "b"}
		set(t, tt.w, key, Subscription{Servers: []string{"10.0.0.9"}, Functions: []string{"f"}}) // another job server
		tt.w.SetPods(key, []PodRef{{UID: twin, Name: "pool-b-1"}, {UID: "short"}})
		tt.show(tt.one, row("10.1.0.1", uidOne, 0, 1, "f", ended(3)))
		tt.expect("the pool that uses this server", ended(3), telemetry.Counters{})
		if s := sample(t, tt.w, key); len(s.Pods) != 0 {
			t.Errorf("%+v", s.Pods)
		}
		tt.w.Remove(key)
		tt.show(tt.one, row("10.1.0.1", uidOne, 12*time.Second, 1, "f", ended(4)))
		tt.expect("after the other is gone", ended(4), telemetry.Counters{})
		tt.pods()
		if left := tt.w.Entries()["pods"]; left != 0 {
			t.Errorf("%d pods are left", left)
		}
	})
}

// `workers` is requested as often as the pools with pods want, and less often if answering takes
// the server long.
func TestWorkersPeriod(t *testing.T) {
	t.Parallel()
	testTelemetry(t, func(tt *telemetryTest) {
		set(
			t, tt.w, PoolKey{"ns", "zero"},
			Subscription{Servers: []string{"jobs"}, Functions: []string{"z"}, AtZero: true},
		)
		time.Sleep(10 * time.Second)
		before := tt.one.count("workers")
		time.Sleep(100 * time.Second)
		if n := tt.one.count("workers") - before; n < 18 || n > 22 {
			t.Errorf("%d times in 100 s at a period of 5 s", n)
		}
		tt.one.set(func(s *fakeServer) { s.slow = map[string]time.Duration{"workers": 200 * time.Millisecond} })
		before = tt.one.count("workers")
		time.Sleep(100 * time.Second)
		if n := tt.one.count("workers") - before; n < 5 || n > 7 {
			t.Errorf("%d times in 100 s where it takes 0.2 s", n)
		}
	})
}
