package worker

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

func admit(t *testing.T, w *Worker, slots int, names ...string) {
	t.Helper()
	if err := w.Admit(slots, names...); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		var most, running, ran atomic.Int64
		slow := func(context.Context, *Job) ([]byte, error) {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(10 * time.Second)
			running.Add(-1)
			ran.Add(1)
			return nil, nil
		}
		inBubble(t, Options{Concurrency: 4}, []*gearmantest.Server{s}, map[string]Handler{
			"f": slow, "other": reverse,
		}, func(w *Worker) {
			time.Sleep(time.Second)
			s.Submit("f", "", nil)
			time.Sleep(time.Second)
			admit(t, w, 0, "f")
			if st := s.Function("f"); st.Running != 1 || st.Workers != 1 {
				t.Errorf("%+v: the job that runs keeps its registration, the other slots have none", st)
			}
			for range 8 {
				s.Submit("f", "", nil)
			}
			time.Sleep(time.Minute)
			if st := s.Function("f"); ran.Load() != 1 || st.Total != 8 || st.Workers != 0 {
				t.Errorf("%d jobs ran, %+v: none is to be taken", ran.Load(), st)
			}
			if st := s.Function("other"); st.Workers != 4 {
				t.Errorf("the other function has %d registrations, want 4", st.Workers)
			}
			if st := w.Status(); st.Servers[0].Registered != 4 || st.Servers[0].Reconnects != 0 {
				t.Errorf("the connections stay open: %+v", st.Servers[0])
			}
			most.Store(0)
			admit(t, w, 1, "f")
			time.Sleep(25 * time.Second)
			if most.Load() != 1 || ran.Load() != 3 {
				t.Errorf("%d jobs ran at once, %d in all, want 1 and 3", most.Load(), ran.Load())
			}
			admit(t, w, AllSlots, "f")
			time.Sleep(time.Minute)
			if most.Load() != 4 || ran.Load() != 9 {
				t.Errorf("%d jobs ran at once, %d in all, want 4 and 9", most.Load(), ran.Load())
			}
			if err := w.Admit(0, "unknown"); err == nil {
				t.Error("a function without a handler is accepted")
			}
		})
	})
}

// TestAdmitOutlivesConnections checks that a connection that is opened while a function is off
// doesn't register it.
func TestAdmitOutlivesConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		inBubble(t, Options{
			Concurrency: 2,
		}, []*gearmantest.Server{s}, map[string]Handler{"f": reverse}, func(w *Worker) {
			time.Sleep(time.Second)
			admit(t, w, 0, "f")
			s.CloseConnections()
			time.Sleep(time.Minute)
			if st := s.Function("f"); st.Workers != 0 || w.Status().Servers[0].Registered != 2 {
				t.Errorf("%+v, %+v", st, w.Status())
			}
			s.Submit("f", "", nil)
			admit(t, w, AllSlots, "f")
			if st := s.Function("f"); st.Workers != 2 || st.Total != 0 {
				t.Errorf("%+v", st)
			}
		})
	})
}

// TestAdmitPrefersIdleSlots checks that a trial goes to an idle slot.
func TestAdmitPrefersIdleSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		var ran atomic.Int64
		inBubble(t, Options{Concurrency: 3}, []*gearmantest.Server{s}, map[string]Handler{
			"f":    func(context.Context, *Job) ([]byte, error) { ran.Add(1); return nil, nil },
			"long": func(context.Context, *Job) ([]byte, error) { time.Sleep(time.Hour); return nil, nil },
		}, func(w *Worker) {
			time.Sleep(time.Second)
			admit(t, w, 0, "f")
			s.Submit("long", "", nil)
			s.Submit("long", "", nil)
			time.Sleep(time.Second)
			s.Submit("f", "", nil)
			admit(t, w, 1, "f")
			if ran.Load() != 1 {
				t.Error("the job waits for a slot that is busy for an hour")
			}
		})
	})
}

func TestSlotsLimitAFunction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		w, err := New(Options{Servers: []string{s.Addr()}, Dialer: s.DialContext, Concurrency: 4})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		slots := map[string]map[int]bool{}
		for name, n := range map[string]int{"two": 2, "one": 1, "all": 0, "many": 9} {
			slots[name] = map[int]bool{}
			h := func(_ context.Context, j *Job) ([]byte, error) {
				mu.Lock()
				slots[j.Function()][j.Slot()] = true
				mu.Unlock()
				time.Sleep(time.Second)
				return nil, nil
			}
			if err := w.Handle(Function{Name: name, Handler: h, Slots: n}); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan error, 1)
		go func() { done <- w.Run(context.Background()) }() // joined below
		time.Sleep(time.Second)
		for name, want := range map[string]int{"two": 2, "one": 1, "all": 4, "many": 4} {
			if st := s.Function(name); st.Workers != want {
				t.Errorf("%s has %d registrations, want %d", name, st.Workers, want)
			}
			for range 20 {
				s.Submit(name, "", nil)
			}
		}
		time.Sleep(2 * time.Minute)
		mu.Lock()
		for slot := range 4 {
			if w.allows(w.functions["one"], slot) && w.allows(w.functions["two"], slot) {
				t.Errorf("slot %d serves both limited functions, with 4 slots for 3", slot)
			}
		}
		if len(slots["two"]) > 2 || len(slots["one"]) > 1 {
			t.Errorf("slots %v", slots)
		}
		mu.Unlock()
		w.beginStop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.Close()
	})
}

// TestLastingLoadStarvesNoFunction checks that no function starves, since each slot starts with a
// different one. gearmand 1.1 serves the function that a connection registered last for as long as
// it has jobs.
func TestLastingLoadStarvesNoFunction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		var ran [2]atomic.Int64
		count := func(i int) Handler {
			return func(context.Context, *Job) ([]byte, error) {
				ran[i].Add(1)
				time.Sleep(time.Second)
				return nil, nil
			}
		}
		for range 1000 {
			s.Submit("a", "", nil)
			s.Submit("b", "", nil)
		}
		inBubble(t, Options{Concurrency: 2}, []*gearmantest.Server{s}, map[string]Handler{
			"a": count(0), "b": count(1),
		}, func(*Worker) {
			time.Sleep(100 * time.Second)
			if a, b := ran[0].Load(), ran[1].Load(); a < 50 || b < 50 {
				t.Errorf("%d jobs of a and %d of b ran", a, b)
			}
			s.Refuse() // the rest would take half an hour
		})
	})
}

// TestLastingLoadStarvesNoFunctionOfOneSlot checks that a worker with fewer slots than functions
// changes their order from time to time, with no job in flight: each job runs once.
func TestLastingLoadStarvesNoFunctionOfOneSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		var ran [3]atomic.Int64
		handlers := map[string]Handler{}
		for i, f := range []string{"a", "b", "c"} {
			handlers[f] = func(context.Context, *Job) ([]byte, error) {
				ran[i].Add(1)
				time.Sleep(100 * time.Millisecond)
				return nil, nil
			}
			for range 1000 {
				s.Submit(f, "", nil)
			}
		}
		inBubble(t, Options{}, []*gearmantest.Server{s}, handlers, func(*Worker) {
			time.Sleep(100 * time.Second)
			all := 0
			for i := range ran {
				n := int(ran[i].Load())
				all += n
				if n < 250 {
					t.Errorf("%d jobs of function %d ran in the time of 1,000", n, i)
				}
			}
			if n := requests(s, proto.TypeResetAbilities); n < 90 || n > 101 {
				t.Errorf("the order was changed %d times in 100 s", n)
			}
			left := s.Function("a").Total + s.Function("b").Total + s.Function("c").Total
			if n := all + left; n < 3000 || n > 3001 {
				t.Errorf("%d jobs ran and %d are left, of 3000", all, left)
			}
			s.Refuse() // the rest would take minutes
		})
	})
}

func TestMaxJobs(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		concurrency int
		requeue     int // this many jobs are requeued first
	}{"one slot": {1, 0}, "many slots": {8, 0}, "jobs that go back don't count": {3, 4}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, other := gearmantest.NewServer(
					gearmantest.InMemory("10.0.0.1:4730"),
				), gearmantest.NewServer(gearmantest.InMemory("10.0.0.2:4730"))
				w, err := New(Options{
					Servers: []string{s.Addr(), other.Addr()}, Dialer: gearmantest.Dialer(s, other),
					Concurrency: tc.concurrency, MaxJobs: 5,
				})
				if err != nil {
					t.Fatal(err)
				}
				var ran atomic.Int64
				if err := w.Handle(Function{Name: "f", Handler: func(context.Context, *Job) ([]byte, error) {
					time.Sleep(time.Second)
					if ran.Add(1) <= int64(tc.requeue) {
						return nil, ErrRequeue
					}
					return nil, nil
				}}); err != nil {
					t.Fatal(err)
				}
				go func() {
					time.Sleep(time.Minute) // it has polled both job servers in vain many times
					for range 10 {
						s.Submit("f", "", nil)
						other.Submit("f", "", nil)
					}
				}()
				if err := w.Run(context.Background()); err != nil {
					t.Error(err)
				}
				if left := s.Function("f").Total + other.Function("f").Total; ran.Load() != int64(5+tc.requeue) ||
					left != 15 {
					t.Errorf("%d jobs ran and %d are left, want %d and 15", ran.Load(), left, 5+tc.requeue)
				}
				s.Close()
				other.Close()
			})
		})
	}
}

func TestStopWhenEmpty(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, other := gearmantest.NewServer(
			gearmantest.InMemory("10.0.0.1:4730"),
		), gearmantest.NewServer(gearmantest.InMemory("10.0.0.2:4730"))
		other.Refuse()
		w, err := New(Options{
			Servers: []string{s.Addr(), other.Addr()}, Dialer: gearmantest.Dialer(s, other), Concurrency: 3,
			StopWhenEmpty: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		var ran atomic.Int64
		if err := w.Handle(Function{Name: "f", Handler: func(context.Context, *Job) ([]byte, error) {
			time.Sleep(10 * time.Second)
			if ran.Add(1) == 1 {
				s.Submit("f", "", nil) // submitted by a job, so the worker must run it, too
			}
			return nil, nil
		}}); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			s.Submit("f", "", nil)
			other.Submit("f", "", nil)
		}
		done := make(chan error, 1)
		go func() { done <- w.Run(context.Background()) }() // joined below
		time.Sleep(5 * time.Minute)
		if ran.Load() != 6 {
			t.Errorf("%d jobs of the server that answers ran, want 6", ran.Load())
		}
		select {
		case err := <-done:
			t.Errorf("it has stopped without an answer of the second server: %v", err)
		default:
		}
		if err := other.Accept(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if ran.Load() != 11 || s.Stats().Requests[proto.TypeGrabJobUniq] == 0 {
			t.Errorf("%d jobs ran, want 11", ran.Load())
		}
		s.Close()
		other.Close()
	})
}

// TestAdmitWhileJobsEnd changes registrations as often as it can while a real job server assigns
// jobs. Without a hook the worker sends an outcome only when it reads on; RESET_ABILITIES before it
// would requeue its job, which would run twice.
func TestAdmitWhileJobsEnd(t *testing.T) {
	t.Parallel()
	addr := jobserver.Gearmand(t).Addr
	const jobs = 3000
	c := newClient(t, addr)
	for i := range jobs {
		c.submit(proto.TypeSubmitJobBG, []string{"f", "g", "h"}[i%3], "", strconv.Itoa(i))
	}
	w, err := New(Options{Servers: []string{addr}, Concurrency: 2})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	runs := map[string]int{}
	all := make(chan struct{})
	for _, name := range []string{"f", "g", "h"} {
		if err := w.Handle(Function{Name: name, Handler: func(_ context.Context, j *Job) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			runs[string(j.Payload())]++
			if len(runs) == jobs && runs[string(j.Payload())] == 1 {
				close(all)
			}
			return nil, nil
		}}); err != nil {
			t.Fatal(err)
		}
	}
	run := make(chan error, 1)
	go func() { run <- w.Run(context.WithoutCancel(t.Context())) }() // joined below
	for i := 0; ; i++ {
		if err := w.Admit([]int{AllSlots, 1, 0}[i%3], "f", "g"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-all:
		case <-time.After(100 * time.Microsecond):
			continue
		}
		break
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-run; err != nil {
		t.Error(err)
	}
	for job, n := range runs {
		if n > 1 {
			t.Errorf("job %s ran %d times", job, n)
		}
	}
	if n := status(t, addr, "f").Total + status(t, addr, "g").Total + status(t, addr, "h").Total; n > 0 {
		t.Errorf("%d jobs are left", n)
	}
}
