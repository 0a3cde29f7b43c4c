package backlog

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

// rows returns the rows that n gives, until they are size bytes.
func rows(size int, row func(i int) string) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		b.WriteString(row(i))
	}
	return b.String()
}

// hostile are job servers that try to fill the operator's memory.
var hostile = map[string]func(r *rand.Rand) func(command string) (string, bool){
	"huge names": func(r *rand.Rand) func(string) (string, bool) {
		return func(string) (string, bool) {
			seed := r.Uint64()
			return rows(
				3<<20,
				func(i int) string { return fmt.Sprintf("%x-%d%s\t1\t0\t0\n", seed, i, strings.Repeat("x", 60_000)) },
			) + ".\n", true
		}
	},
	"many names": func(r *rand.Rand) func(string) (string, bool) {
		return func(string) (string, bool) {
			seed := r.Uint64()
			return rows(
				1<<20,
				func(i int) string { return fmt.Sprintf("%x-%d-%s\t1\t0\t0\n", seed, i, strings.Repeat("x", 200)) },
			) + ".\n", true
		}
	},
	"bad answers": func(r *rand.Rand) func(string) (string, bool) {
		return func(string) (string, bool) {
			seed := r.Uint64()
			return rows(
				1<<20,
				func(i int) string { return fmt.Sprintf("%x-%d-%s\t1\t0\t0\n", seed, i, strings.Repeat("x", 200)) },
			), true
		}
	},
	"no end of rows": func(*rand.Rand) func(string) (string, bool) {
		endless := rows(5<<20, func(i int) string { return fmt.Sprintf("f%d\t1\t0\t0\n", i) })
		return func(string) (string, bool) { return endless, true }
	},
	"no end of a row": func(*rand.Rand) func(string) (string, bool) {
		endless := strings.Repeat("x", 5<<20)
		return func(string) (string, bool) { return endless, true }
	},
	"no end of reports": func(r *rand.Rand) func(string) (string, bool) {
		return func(command string) (string, bool) {
			if command == "status" {
				return "f0\t1\t0\t0\n.\n", true
			}
			return rows(3<<20, func(i int) string {
				report := telemetry.Report{
					Start: time.Now().Add(-time.Hour).UnixMilli(), Full: true, Busy: 1, Capacity: 1, HasFunction: true,
					Function: telemetry.FunctionHash(fmt.Sprintf("f%d", r.IntN(64))),
					Counters: telemetry.Counters{OK: int64(i)},
				}
				report.UID, _ = telemetry.ParseUID(uidOne)
				return fmt.Sprintf("%d 10.0.0.%d %s : f\n", i, i%250, report.Append(nil))
			}) + ".\n", true
		}
	},
}

// The watcher's memory depends on the pools' subscriptions, and not on the job servers' answers.
func TestHostileServersCostNoMemory(t *testing.T) {
	for _, foreign := range []int{0, 1_000_000} {
		t.Run(fmt.Sprintf("foreign functions %d", foreign), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				r := rand.New(rand.NewPCG(1, 2))
				var addrs []string
				for name, behave := range hostile {
					for range 2 {
						addr := fmt.Sprintf("10.0.0.%d", len(addrs)+1)
						addrs = append(addrs, addr)
						answer := behave(rand.New(rand.NewPCG(r.Uint64(), r.Uint64())))
						n.server(addr + ":4730").set(func(s *fakeServer) { s.answer = answer })
						t.Log(addr, name)
					}
				}
				var functions []string
				for i := range 64 {
					functions = append(functions, fmt.Sprintf("f%d", i))
				}
				victim := PoolKey{"ns", "victim"}
				n.server("10.0.1.1:4730").function("mine", 3, 1, 1)
				w := watch(t, n, Options{ForeignFunctions: foreign})
				set(t, w, victim, Subscription{Servers: []string{"10.0.1.1"}, Functions: []string{"mine"}})
				set(t, w, poolA, Subscription{Servers: addrs, Functions: functions})
				w.SetPods(poolA, []PodRef{{UID: uidOne, Name: "pool-a-1"}})
				before := heap()
				asked := 64<<10*2 + 16<<10*(len(addrs)+1) + 1<<10*(64*len(addrs)+1)
				for range 20 {
					time.Sleep(2 * time.Second)
					if held, most := w.Bytes(), asked+min(foreign, 1)*totalForeignBytes; held > most {
						t.Fatalf("%d bytes are held, %d are asked for", held, most)
					}
					if s := sample(t, w, victim); s.Partial || s.Functions[0].Total != 3 {
						t.Fatalf("the victim: %+v", s)
					}
				}
				for _, a := range addrs { // what they are sending is not the watcher's memory
					n.servers[netip.MustParseAddrPort(a+":4730")].set(
						func(s *fakeServer) { s.refuse, s.answer = true, nil },
					)
					n.servers[netip.MustParseAddrPort(a+":4730")].cut()
				}
				time.Sleep(time.Second)
				if used := int(heap()) - int(before); used > 4<<20+2*min(foreign, 1)*totalForeignBytes {
					t.Errorf("the heap has grown by %d bytes", used)
				}
				if kept := w.Entries()["foreignFunctions"]; (kept > 0) != (foreign > 0) {
					t.Errorf("%d foreign functions are kept", kept)
				}
				w.Remove(poolA)
				w.Remove(victim)
				if held := w.Bytes(); held != 0 {
					t.Errorf("%d bytes are left", held)
				}
			})
		})
	}
}

// Functions take memory only on job servers that answer: naming many silent ones takes none.
func TestSilentServersCostNoCells(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.server("10.0.0.1:4730").set(func(s *fakeServer) { s.hang = true })
		n.server("10.0.0.2:4730").set(func(s *fakeServer) { s.refuse = true })
		answers := n.server("10.0.0.3:4730")
		answers.set(func(s *fakeServer) { s.refuse = true })
		w := watch(t, n, Options{})
		sub := Subscription{
			Servers: []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, Functions: []string{"f", "g", "h"}, AtZero: true,
		}
		set(t, w, poolA, sub)
		time.Sleep(time.Minute)
		if s := sample(t, w, poolA); w.Entries()["functions"] != 0 || !s.Partial {
			t.Errorf("%d functions are kept, partial %v", w.Entries()["functions"], s.Partial)
		}
		sub.Functions = []string{"g", "f"} // while nothing has answered
		set(t, w, poolA, sub)
		answers.function("f", 3, 1, 2)
		answers.set(func(s *fakeServer) { s.refuse = false })
		time.Sleep(time.Minute)
		s := sample(t, w, poolA)
		if w.Entries()["functions"] != 2 || !s.Servers[2].Fresh || s.Functions[1].Total != 3 ||
			s.Functions[1].Running != 1 {
			t.Errorf("%d functions are kept: %+v", w.Entries()["functions"], s)
		}
		sub.Functions = []string{"f"}
		set(t, w, poolA, sub)
		if got := w.Entries()["functions"]; got != 1 {
			t.Errorf("%d functions are kept, want 1", got)
		}
		w.Remove(poolA)
		if held := w.Bytes(); held != 0 {
			t.Errorf("%d bytes are left", held)
		}
	})
}

// A name with many addresses is looked up less often: Go's resolver opens a socket for each
// address.
func TestManyAddressesAreLookedUpLessOften(t *testing.T) {
	t.Parallel()
	for addresses, most := range map[int]int{
		1: 130, 500: 5,
	} { // in two minutes, in which connections are lost all the time
		t.Run(fmt.Sprint(addresses), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				n.name("many", texts(addrs("10.0.%d.%d", addresses))...)
				w := watch(t, n, Options{})
				set(t, w, poolA, Subscription{Servers: []string{"many"}, Functions: []string{"f"}})
				time.Sleep(2 * time.Minute)
				n.mu.Lock()
				defer n.mu.Unlock()
				if n.lookups < 2 || n.lookups > most {
					t.Errorf("%d look-ups, want 2 to %d", n.lookups, most)
				}
			})
		})
	}
}

// The bound of an answer is low before the first one, and good ones raise it.
func TestAnswersEarnTheirLength(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		long := rows(5<<20, func(i int) string { return fmt.Sprintf("f%d\t1\t0\t0\n", i) }) + ".\n"
		one, two := n.server("10.0.0.1:4730"), n.server("10.0.0.2:4730")
		one.set(func(s *fakeServer) { s.answer = func(string) (string, bool) { return long, true } })
		two.function("f7", 1, 0, 0)
		w := watch(t, n, Options{})
		set(
			t, w, poolA,
			Subscription{Servers: []string{"10.0.0.1", "10.0.0.2"}, Functions: []string{"f7"}, AtZero: true},
		)
		time.Sleep(10 * time.Second)
		s := sample(t, w, poolA)
		if s.Servers[0].State != StateBadAnswer || s.Servers[1].State != StateOK {
			t.Fatalf("%+v", s.Servers)
		}
		two.set(func(s *fakeServer) { s.answer = one.answer })
		before := two.count("status")
		time.Sleep(30 * time.Second)
		if s := sample(t, w, poolA); s.Servers[1].State != StateOK {
			t.Fatalf("%+v", s.Servers)
		}
		if polls := two.count("status") - before; polls < 5 || polls > 9 {
			t.Errorf("%d polls in 30 s, an answer has 5 MiB", polls)
		}
	})
}

// TestSilentServersTakeNoRoom: a sample has no room for the queues of job servers that have not
// answered. A pool may name hundreds of them, with 64 functions each.
func TestSilentServersTakeNoRoom(t *testing.T) {
	t.Parallel()
	w := New(Options{})
	sub := Subscription{}
	for i := range 64 {
		sub.Servers = append(sub.Servers, fmt.Sprintf("10.0.0.%d", i))
		sub.Functions = append(sub.Functions, fmt.Sprintf("f%d", i))
	}
	if err := w.Set(poolA, sub); err != nil {
		t.Fatal(err)
	}
	sample, ok := w.Sample(poolA, time.Now())
	if !ok || len(sample.Servers) != 64 || cap(sample.Queues) != 0 {
		t.Errorf("%d job servers, room for %d queues", len(sample.Servers), cap(sample.Queues))
	}
}
