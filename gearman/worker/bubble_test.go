package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// with returns a Function with the options of a template, if there is one.
func with(name string, h Handler, options []Function) Function {
	var f Function
	if len(options) > 0 {
		f = options[0]
	}
	f.Name, f.Handler = name, h
	return f
}

// inBubble runs a worker with in-memory job servers in a synctest bubble.
func inBubble(
	t *testing.T, o Options, servers []*gearmantest.Server, handlers map[string]Handler, f func(w *Worker),
	opts ...Function,
) {
	t.Helper()
	if o.Dialer == nil {
		o.Dialer = gearmantest.Dialer(servers...)
	}
	if o.Servers == nil {
		for _, s := range servers {
			o.Servers = append(o.Servers, s.Addr())
		}
	}
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range handlers {
		if err := w.Handle(with(name, h, opts)); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- w.Run(context.Background()) }() // joined below
	f(w)
	w.beginStop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, s := range servers {
		s.Close()
	}
}

func requests(s *gearmantest.Server, typ proto.Type) int { return int(s.Stats().Requests[typ]) }

func TestSleepingConnectionAsksAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		inBubble(t, Options{}, []*gearmantest.Server{s}, map[string]Handler{"f": reverse}, func(*Worker) {
			time.Sleep(time.Second)
			if n := requests(s, proto.TypeGrabJobUniq); n != 1 {
				t.Errorf("%d requests after registering, want 1", n)
			}
			time.Sleep(10 * time.Minute)
			if n := requests(s, proto.TypeGrabJobUniq); n < 20 || n > 61 {
				t.Errorf("%d requests in 10 idle minutes, want one each 10 to 30 s", n)
			}
			if grabs, sleeps := requests(s, proto.TypeGrabJobUniq), requests(s, proto.TypePreSleep); grabs != sleeps {
				t.Errorf("%d requests and %d PRE_SLEEP: each NO_JOB is followed by one", grabs, sleeps)
			}
		})
	})
}

// TestWakeUpsForNothingAreBounded checks the rate of polls after useless wake-ups. A delayed job
// with a LOW job of its function behind it makes the job server wake workers at once for a job that
// it doesn't assign.
func TestWakeUpsForNothingAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		nc, err := s.DialContext(t.Context(), "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		b := proto.AppendSubmitEpoch(nil, "f", "", time.Now().Add(time.Hour), "later")
		b = proto.AppendSubmit(b, proto.TypeSubmitJobLowBG, "f", "", "low")
		c := proto.NewConn(nc, proto.Limits{})
		if err := c.Exchange(t.Context(), b, func(c *proto.Conn) error {
			_, err1 := c.Next()
			_, err2 := c.Next()
			return errors.Join(err1, err2)
		}); err != nil {
			t.Fatal(err)
		}
		var ran atomic.Int64
		count := func(context.Context, *Job) ([]byte, error) { ran.Add(1); return nil, nil }
		inBubble(t, Options{}, []*gearmantest.Server{s}, map[string]Handler{"f": count}, func(*Worker) {
			time.Sleep(10 * time.Minute)
			if n := requests(s, proto.TypeGrabJobUniq); n < 20 || n > 700 {
				t.Errorf("%d requests for a job in 10 minutes, want about one a second at most", n)
			}
			time.Sleep(51 * time.Minute) // the delayed job has become due
			if ran.Load() != 2 {
				t.Errorf("%d jobs ran, want 2", ran.Load())
			}
		})
		_ = c.Close()
	})
}

func TestHungServerDoesNotKeepTheSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hung := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		good := gearmantest.NewServer(gearmantest.InMemory("10.0.0.2:4730"))
		var ran atomic.Int64
		count := func(context.Context, *Job) ([]byte, error) { ran.Add(1); return nil, nil }
		inBubble(t, Options{}, []*gearmantest.Server{hung, good}, map[string]Handler{"f": count}, func(w *Worker) {
			time.Sleep(time.Second)
			hung.SetFault(gearmantest.Fault{Hang: true})
			for range 100 {
				good.Submit("f", "", nil)
				time.Sleep(10 * time.Second)
			}
			if ran.Load() != 100 {
				t.Errorf("%d jobs of the good server ran, want 100", ran.Load())
			}
			st := w.Status()
			if st.Connected != 1 || st.Servers[0].LastError == nil {
				t.Errorf("%+v", st)
			}
			if got := st.Servers[0].LastError.Error(); !strings.Contains(got, "10.0.0.1:4730") {
				t.Errorf("error %q doesn't name the server", got)
			}
			hung.SetFault(gearmantest.Fault{})
			time.Sleep(time.Minute)
			if w.Status().Connected != 2 {
				t.Errorf("after it healed: %+v", w.Status())
			}
		})
	})
}

func TestBackOffWhileTheServerIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		inBubble(t, Options{
			Concurrency: 4,
		}, []*gearmantest.Server{s}, map[string]Handler{"f": reverse}, func(w *Worker) {
			time.Sleep(time.Second)
			s.Refuse()
			s.CloseConnections()
			time.Sleep(10 * time.Minute)
			// From 100 ms, doubled up to 30 s, less up to half: 9 attempts to the cap, then one
			// every 15 to 30 s.
			if n := w.Status().Servers[0].Reconnects; n < 4*20 || n > 4*60 {
				t.Errorf("%d attempts of 4 slots in 10 minutes", n)
			}
			if err := s.Accept(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if st := w.Status(); st.Servers[0].Registered != 4 || st.Servers[0].LastError != nil {
				t.Errorf("%+v", st)
			}
		})
	})
}

func TestFaultsEndInAReconnectAndNoLostJob(t *testing.T) {
	t.Parallel()
	faults := map[string]gearmantest.Fault{
		"cut in a header":       {CutAfter: 5},
		"cut in a job":          {CutAfter: 40},
		"garbage":               {Garbage: []byte("\x00XXXgarbage garbage")},
		"packets of no worker":  {Garbage: proto.AppendJobCreated(nil, "H:x:1")},
		"job not asked for":     {Garbage: proto.AppendJobAssign(nil, "H:x:1", "f", "x")},
		"unknown function":      {Garbage: proto.AppendJobAssignUniq(nil, "H:x:1", "other", "", "x")},
		"drop on complete":      {DropOn: proto.TypeWorkComplete},
		"drop on grab":          {DropOn: proto.TypeGrabJobUniq},
		"drop on registration":  {DropOn: proto.TypeCanDo},
		"drop on version":       {DropOnText: "version"},
		"slow":                  {Delay: time.Second, BytesPerSecond: 20},
		"error to registration": {Garbage: proto.AppendError(nil, "NO", "no")},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
				var ran atomic.Int64
				count := func(context.Context, *Job) ([]byte, error) { ran.Add(1); return nil, nil }
				inBubble(t, Options{
					Concurrency: 2,
				}, []*gearmantest.Server{s}, map[string]Handler{"f": count}, func(*Worker) {
					time.Sleep(time.Second)
					s.SetFault(fault)
					if name == "drop on registration" || name == "drop on version" || name == "error to registration" {
						s.CloseConnections()
					}
					for range 5 {
						s.Submit("f", "", []byte("payload"))
					}
					time.Sleep(2 * time.Minute)
					s.SetFault(gearmantest.Fault{})
					time.Sleep(2 * time.Minute)
					if st := s.Function("f"); st.Total != 0 || ran.Load() < 5 {
						t.Errorf("left on the server: %+v; handler calls: %d", st, ran.Load())
					}
				})
			})
		})
	}
}

func TestLingerAndClientID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		o := Options{
			Concurrency: 3, Linger: 5 * time.Second,
			ClientID: func(slot int) string { return fmt.Sprint("slot", slot) },
		}
		w, err := New(
			Options{
				Servers: []string{s.Addr()}, Dialer: s.DialContext, Concurrency: o.Concurrency, Linger: o.Linger,
				ClientID: o.ClientID,
			},
		)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Handle(
			Function{
				Name:    "f",
				Handler: func(context.Context, *Job) ([]byte, error) { time.Sleep(time.Minute); return nil, nil },
			},
		); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- w.Run(context.Background()) }() // joined below
		time.Sleep(time.Second)
		s.Submit("f", "", nil)
		time.Sleep(time.Second)
		w.beginStop()
		time.Sleep(30 * time.Second)
		if st := s.Function("f"); st.Running != 1 {
			t.Errorf("the job doesn't run on: %+v", st)
		}
		time.Sleep(31 * time.Second) // it ended about two seconds ago
		if open := s.Stats().Open; open != 1 {
			t.Errorf("%d connections linger, want slot 0's only", open)
		}
		start := time.Now()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d < 2*time.Second || d > 5*time.Second {
			t.Errorf("stopped %v later, want 5 s after the job's end", d)
		}
		s.Close()
	})
}

// TestKeepAliveWhileAJobRuns checks that data is sent over the connection of a long job, and that a
// later stop still waits for its own echo.
func TestKeepAliveWhileAJobRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		inBubble(t, Options{Concurrency: 2}, []*gearmantest.Server{s}, map[string]Handler{
			"long": func(context.Context, *Job) ([]byte, error) { time.Sleep(time.Hour); return nil, nil },
		}, func(*Worker) {
			time.Sleep(time.Second)
			before := requests(s, proto.TypeEchoReq)
			s.Submit("long", "", nil)
			time.Sleep(59 * time.Minute)
			if n := requests(s, proto.TypeEchoReq) - before; n < 29 || n > 60 {
				t.Errorf("%d echoes in 59 minutes of a job, want one each minute or two", n)
			}
			time.Sleep(2 * time.Minute)
			if st := s.Function("long"); st.Total != 0 {
				t.Errorf("%+v", st)
			}
		})
	})
}

func TestDropOnDisconnect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		var outcome atomic.Value
		var cause atomic.Value
		o := Options{
			DropOnDisconnect: true,
			Hooks:            Hooks{JobDone: func(_ *Job, d Done) { outcome.CompareAndSwap(nil, d.Outcome) }},
		}
		first := true
		inBubble(t, o, []*gearmantest.Server{s}, map[string]Handler{"f": func(
			ctx context.Context, _ *Job,
		) ([]byte, error) {
			if !first {
				return nil, nil
			}
			first = false
			select {
			case <-ctx.Done():
				cause.Store(context.Cause(ctx))
			case <-time.After(time.Hour):
			}
			return nil, nil
		}}, func(*Worker) {
			time.Sleep(time.Second)
			s.Submit("f", "", nil)
			time.Sleep(time.Second)
			s.CloseConnections()
			time.Sleep(time.Minute)
			if err, _ := cause.Load().(error); !errors.Is(err, ErrDisconnected) {
				t.Errorf("the handler's context ended with %v", cause.Load())
			}
			if outcome.Load() != Lost {
				t.Errorf("outcome %v, want lost", outcome.Load())
			}
			if st := s.Function("f"); st.Total != 0 {
				t.Errorf("the requeued job was not run: %+v", st)
			}
		})
	})
}

// TestHandlerThatEndsItsGoroutine checks that a handler that ends its goroutine fails its job and
// doesn't affect the worker, even if the reading was passed on, in a long job.
func TestHandlerThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		var failed, complete atomic.Int64
		o := Options{Hooks: Hooks{JobDone: func(_ *Job, d Done) {
			if d.Outcome == Fail && errors.Is(d.Err, errExited) {
				failed.Add(1)
			} else if d.Outcome == Complete {
				complete.Add(1)
			}
		}}}
		inBubble(t, o, []*gearmantest.Server{s}, map[string]Handler{
			"quick": func(context.Context, *Job) ([]byte, error) { runtime.Goexit(); return nil, nil },
			"long": func(context.Context, *Job) ([]byte, error) {
				time.Sleep(time.Second)
				runtime.Goexit()
				return nil, nil
			},
			"slow": func(context.Context, *Job) ([]byte, error) { time.Sleep(time.Second); return nil, nil },
			"good": reverse,
		}, func(*Worker) {
			for range 5 {
				for _, f := range []string{"quick", "long", "slow", "good"} {
					s.Submit(f, "", nil)
				}
			}
			time.Sleep(time.Minute)
			if failed.Load() != 10 || complete.Load() != 10 {
				t.Errorf("%d failed, %d complete, want 10 and 10", failed.Load(), complete.Load())
			}
		})
	})
}

func TestOnPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		var mu sync.Mutex
		var got []Outcome
		o := Options{Hooks: Hooks{JobDone: func(_ *Job, d Done) {
			var pe *PanicError
			if ok := errors.As(d.Err, &pe); d.Outcome != Complete && (!ok || pe.Value != "oops" || len(pe.Stack) == 0) {
				t.Errorf("error %v", d.Err)
			}
			mu.Lock()
			defer mu.Unlock()
			got = append(got, d.Outcome)
		}}}
		tries := 0
		inBubble(t, o, []*gearmantest.Server{s}, map[string]Handler{"f": func(context.Context, *Job) ([]byte, error) {
			if tries++; tries < 3 {
				panic("oops")
			}
			return nil, nil
		}}, func(*Worker) {
			s.Submit("f", "", nil)
			time.Sleep(time.Minute)
			mu.Lock()
			defer mu.Unlock()
			if fmt.Sprint(got) != "[requeued requeued complete]" {
				t.Errorf("outcomes %v", got)
			}
		}, Function{OnPanic: func(*PanicError) error { return ErrRequeue }})
	})
}
