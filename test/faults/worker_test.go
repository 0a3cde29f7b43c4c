package faults

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A workerRun is a worker of the function f under test: the jobs that it ran, and the connections
// that it lost.
type workerRun struct {
	t      *testing.T
	w      *worker.Worker
	cancel context.CancelFunc
	done   chan error

	mu   sync.Mutex
	ran  map[string]int // by payload
	down []error        // of lost connections
	ends []worker.Outcome
}

// runWorker starts a worker; stop must be called before the bubble ends.
func runWorker(t *testing.T, o worker.Options, servers ...*gearmantest.Server) *workerRun {
	t.Helper()
	r := &workerRun{t: t, ran: map[string]int{}, done: make(chan error, 1)}
	for _, s := range servers {
		o.Servers = append(o.Servers, s.Addr())
	}
	o.Dialer = gearmantest.Dialer(servers...)
	o.Hooks = worker.Hooks{
		ConnDown: func(_ worker.Conn, err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if err != nil {
				r.down = append(r.down, err)
			}
		},
		JobDone: func(_ *worker.Job, d worker.Done) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.ends = append(r.ends, d.Outcome)
		},
	}
	w, err := worker.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Handle(worker.Function{Name: "f", Handler: func(_ context.Context, j *worker.Job) ([]byte, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ran[string(j.Payload())]++
		return []byte("done"), nil
	}}); err != nil {
		t.Fatal(err)
	}
	r.w = w
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.done <- w.Run(ctx) }()
	return r
}

func (r *workerRun) stop() {
	r.t.Helper()
	r.cancel()
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Errorf("Run: %v", err)
		}
	case <-time.After(24 * time.Hour):
		r.t.Fatal("Run did not end within a day")
	}
}

// wantRan fails unless these jobs have run this often.
func (r *workerRun) wantRan(want map[string]int) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if diff := cmp.Diff(want, r.ran); diff != "" {
		r.t.Errorf("jobs that ran (-want +got):\n%s", diff)
	}
}

// losses returns the errors of lost connections so far.
func (r *workerRun) losses() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.down)
}

func TestWorker(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault gearmantest.Fault
		is    error  // of the lost connection
		says  string // in its text; with neither, no connection is lost
		ran   int    // how often the job runs in total
	}{
		"none": {ran: 1},
		"hang": {fault: gearmantest.Fault{Hang: true}, says: "no answer to the request for a job", ran: 1},
		"late": {fault: gearmantest.Fault{Delay: 20 * time.Second}, ran: 1},
		"too late": {
			fault: gearmantest.Fault{Delay: time.Hour}, says: "no answer to the request for a job", ran: 1,
		},
		"slow":            {fault: gearmantest.Fault{BytesPerSecond: 10}, ran: 1},
		"cut in a header": {fault: gearmantest.Fault{CutAfter: 5}, is: io.ErrUnexpectedEOF, ran: 1},
		"cut in a job":    {fault: gearmantest.Fault{CutAfter: 30}, is: io.ErrUnexpectedEOF, ran: 1},
		"garbage": {
			fault: gearmantest.Fault{Garbage: []byte("HTTP/1.1 400 Bad Request\r\n\r\n")}, is: proto.ErrMagic, ran: 1,
		},
		"a foreign packet": {
			fault: gearmantest.Fault{Garbage: proto.AppendJobCreated(nil, "H:x:1")}, is: proto.ErrType, ran: 1,
		},
		"grab dropped": {
			fault: gearmantest.Fault{DropOn: proto.TypeGrabJobUniq}, says: "the server closed the connection", ran: 1,
		},
		// The answer to the grab is lost with the connection: the server gives the job out again.
		"job lost on the way": {
			fault: gearmantest.Fault{DropOn: proto.TypeGrabJobUniq, DropHandled: true},
			says:  "the server closed the connection", ran: 1,
		},
		// The server never saw the result: the job runs again, as the protocol requires.
		"result dropped": {
			fault: gearmantest.Fault{DropOn: proto.TypeWorkComplete, DropNth: 1},
			says:  "the server closed the connection", ran: 2,
		},
		"result taken, then dropped": {
			fault: gearmantest.Fault{DropOn: proto.TypeWorkComplete, DropNth: 1, DropHandled: true},
			says:  "the server closed the connection", ran: 1,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.InMemory(address))
				defer s.Close()
				r := runWorker(t, worker.Options{}, s)
				defer r.stop()
				<-r.w.Ready()
				time.Sleep(time.Second)
				synctest.Wait() // asleep
				s.SetFault(tc.fault)
				s.Submit("f", "", []byte("job"))
				time.Sleep(5 * time.Minute)
				s.SetFault(gearmantest.Fault{})
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				r.wantRan(map[string]int{"job": tc.ran})
				if got := s.Function("f"); got.Total != 0 || got.Workers != 1 {
					t.Errorf("at the end: %+v, want no job and one worker", got)
				}
				losses := r.losses()
				if tc.is == nil && tc.says == "" {
					if len(losses) > 0 {
						t.Errorf("connections were lost: %v", losses)
					}
					return
				}
				if len(losses) == 0 {
					t.Fatal("no connection was lost")
				}
				says(t, losses[0], tc.is, tc.says, address)
			})
		})
	}
}

// TestWorkerRefused: a worker whose job server can't be reached keeps trying, reports why, and runs
// jobs when the job server is back.
func TestWorkerRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory(address))
		defer s.Close()
		s.Refuse()
		r := runWorker(t, worker.Options{}, s)
		defer r.stop()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		st := r.w.Status()
		if len(st.Servers) != 1 || st.Connected != 0 {
			t.Fatalf("status: %+v, want one server, not connected", st)
		}
		says(t, st.Servers[0].LastError, syscall.ECONNREFUSED, address)
		if n := st.Servers[0].Reconnects; n < 15 || n > 60 {
			t.Errorf("%d attempts in 10 minutes, want some 20 to 40 with a back-off of up to 30 s", n)
		}
		s.Submit("f", "", []byte("job"))
		if err := s.Accept(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		r.wantRan(map[string]int{"job": 1})
	})
}

// TestWorkerRegistration: a job server that breaks while a worker registers does not count yet.
func TestWorkerRegistration(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault gearmantest.Fault
		is    error
	}{
		"hang":    {gearmantest.Fault{Hang: true}, os.ErrDeadlineExceeded},
		"cut":     {gearmantest.Fault{CutAfter: 3}, io.ErrUnexpectedEOF},
		"garbage": {gearmantest.Fault{Garbage: []byte("220 mail.example.com ESMTP\r\n")}, nil},
		"dropped": {gearmantest.Fault{DropOn: proto.TypeCanDo}, io.EOF},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.InMemory(address))
				defer s.Close()
				s.SetFault(tc.fault)
				s.Submit("f", "", []byte("job"))
				r := runWorker(t, worker.Options{}, s)
				defer r.stop()
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				select {
				case <-r.w.Ready():
					t.Error("the worker is ready at a broken server")
				default:
				}
				says(t, r.w.Status().Servers[0].LastError, tc.is, address)
				s.SetFault(gearmantest.Fault{})
				time.Sleep(time.Minute)
				<-r.w.Ready()
				synctest.Wait()
				r.wantRan(map[string]int{"job": 1})
			})
		})
	}
}

func TestWorkerRestart(t *testing.T) {
	t.Parallel()
	for keep, want := range map[bool]map[string]int{true: {"a": 1, "b": 1, "c": 1}, false: {"c": 1}} {
		t.Run(fmt.Sprint("keep=", keep), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.InMemory(address))
				defer s.Close()
				r := runWorker(t, worker.Options{}, s)
				defer r.stop()
				<-r.w.Ready()
				s.SetFault(gearmantest.Fault{Hang: true}) // so that the jobs are still there when it restarts
				s.Submit("f", "", []byte("a"))
				s.Submit("f", "", []byte("b"))
				if keep {
					s.RestartWithQueue()
				} else {
					s.Restart()
				}
				s.SetFault(gearmantest.Fault{})
				time.Sleep(time.Minute)
				synctest.Wait()
				s.Submit("f", "", []byte("c"))
				time.Sleep(time.Second)
				synctest.Wait()
				r.wantRan(want)
				losses := r.losses()
				if len(losses) != 1 {
					t.Fatalf("losses: %v, want one", losses)
				}
				says(t, losses[0], nil, address)
			})
		})
	}
}

// TestWorkerOneOfTwoHangs: a hung job server occupies a slot only until it is given up; meanwhile
// the other's jobs run.
func TestWorkerOneOfTwoHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		good := gearmantest.NewServer(gearmantest.InMemory("192.0.2.2:4730"))
		defer good.Close()
		bad := gearmantest.NewServer(gearmantest.InMemory(address))
		defer bad.Close()
		r := runWorker(t, worker.Options{}, good, bad)
		defer r.stop()
		time.Sleep(time.Second)
		bad.SetFault(gearmantest.Fault{Hang: true})
		want := map[string]int{}
		for i := range 100 {
			job := fmt.Sprint("job", i)
			want[job] = 1
			good.Submit("f", "", []byte(job))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		r.wantRan(want)
		bad.SetFault(gearmantest.Fault{})
		bad.Submit("f", "", []byte("late"))
		want["late"] = 1
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		r.wantRan(want)
	})
}
