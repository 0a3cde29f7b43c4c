package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/codec"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// TestPrefix checks that only job servers see the prefix: handlers and hooks get names without it.
func TestPrefix(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		s.Submit("staging/f", "", nil)
		s.Submit("f", "", nil)
		var seen []string
		inBubble(t, Options{
			Prefix: "staging/",
		}, []*gearmantest.Server{s}, map[string]Handler{"f": func(_ context.Context, job *Job) ([]byte, error) {
			seen = append(seen, job.Function())
			return nil, nil
		}}, func(*Worker) { time.Sleep(time.Minute) })
		if diff := check.Diff([]string{"f"}, seen); diff != "" {
			t.Errorf("functions of jobs (-want +got):\n%s", diff)
		}
		if a, b := s.Function("staging/f").Total, s.Function("f").Total; a != 0 || b != 1 {
			t.Errorf("%d jobs left with the prefix and %d without, want 0 and 1", a, b)
		}
	})
	w, err := New(Options{Servers: []string{"192.0.2.1"}, Prefix: "a b/"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Handle(
		Function{Name: "f", Handler: reverse},
	); !errors.Is(err, proto.ErrName) || !strings.Contains(err.Error(), "a b/f") {
		t.Errorf("a prefix with a blank: %v", err)
	}
}

// TestServerTimeout checks that with ServerTimeout the job server gives the job to another slot
// while the first still runs it. The job server tells nobody about this.
func TestServerTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		s.Submit("f", "", []byte("x"))
		begin := time.Now()
		var mu sync.Mutex
		var starts []time.Duration
		goOn := make(chan struct{})
		inBubble(t, Options{
			Concurrency: 2,
		}, []*gearmantest.Server{s}, map[string]Handler{"f": func(context.Context, *Job) ([]byte, error) {
			mu.Lock()
			starts = append(starts, time.Since(begin).Truncate(time.Second))
			first := len(starts) == 1
			mu.Unlock()
			if first {
				<-goOn
			}
			return nil, nil
		}}, func(*Worker) {
			time.Sleep(time.Minute)
			close(goOn)
			synctest.Wait()
		}, Function{ServerTimeout: 2 * time.Second})
		if diff := check.Diff([]time.Duration{0, 2 * time.Second}, starts); diff != "" {
			t.Errorf("the job's starts (-want +got):\n%s", diff)
		}
		if n := requests(s, proto.TypeCanDoTimeout); n != 2 {
			t.Errorf("%d registrations with a timeout, want one for each slot", n)
		}
		if n := s.Function("f").Total; n != 0 {
			t.Errorf("%d jobs left, want none", n)
		}
	})
}

// TestJobHooks checks that JobStart is called before the handler and JobDone after it, with the
// sizes, both with the slot that runs the job.
func TestJobHooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		handle := s.Submit("f", "key", []byte("12345"))
		var seen []string
		o := Options{Hooks: Hooks{
			JobStart: func(job *Job) {
				seen = append(
					seen,
					fmt.Sprintf(
						"start %s %s %s %d at %s, slot %d", job.Function(), job.Handle(), job.Key(), job.Size(),
						job.Server(), job.Slot(),
					),
				)
			},
			JobDone: func(_ *Job, d Done) {
				seen = append(
					seen,
					fmt.Sprintf(
						"done %s in %d out %d after %v: %v", d.Outcome, d.BytesIn, d.BytesOut, d.Duration, d.Err,
					),
				)
			},
		}}
		inBubble(t, o, []*gearmantest.Server{s}, map[string]Handler{"f": func(
			_ context.Context, job *Job,
		) ([]byte, error) {
			seen = append(seen, "handler")
			time.Sleep(time.Second)
			return []byte("result"), job.Data([]byte("part"))
		}}, func(*Worker) { time.Sleep(time.Minute) })
		want := []string{
			"start f " + handle + " key 5 at 10.0.0.1:4730, slot 0", "handler",
			"done complete in 5 out 10 after 1s: <nil>",
		}
		if diff := check.Diff(want, seen); diff != "" {
			t.Errorf("hooks (-want +got):\n%s", diff)
		}
	})
}

// TestCanRequeue checks that the kind of job server decides whether a job can be requeued, and so
// what ErrRequeue does.
func TestCanRequeue(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		dialect gearmantest.Dialect
		can     bool
		runs    int
		outcome Outcome // of the first run
	}{
		"gearmand":   {gearmantest.Gearmand, true, 2, Requeued},
		"gearmand 2": {gearmantest.Gearmand2, true, 2, Requeued},
		"Perl":       {gearmantest.Perl, false, 1, Fail},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(
					gearmantest.Options{InMemory: true, Addr: "10.0.0.1:4730", Dialect: tt.dialect},
				)
				s.Submit("f", "", nil)
				runs := 0
				var outcomes []Outcome
				o := Options{Hooks: Hooks{JobDone: func(_ *Job, d Done) { outcomes = append(outcomes, d.Outcome) }}}
				inBubble(t, o, []*gearmantest.Server{s}, map[string]Handler{"f": func(
					_ context.Context, job *Job,
				) ([]byte, error) {
					if runs++; job.CanRequeue() != tt.can {
						t.Errorf("CanRequeue is %v, want %v", job.CanRequeue(), tt.can)
					}
					if runs == 1 {
						return nil, ErrRequeue
					}
					return nil, nil
				}}, func(*Worker) { time.Sleep(time.Minute) })
				if runs != tt.runs || len(outcomes) != tt.runs || outcomes[0] != tt.outcome {
					t.Errorf("%d runs with %v, want %d, the first %v", runs, outcomes, tt.runs, tt.outcome)
				}
			})
		})
	}
}

// TestFallBackToPlainGrab checks that a job server that doesn't report its kind, and refuses
// GRAB_JOB_UNIQ, is polled with GRAB_JOB from then on.
func TestFallBackToPlainGrab(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(
			gearmantest.Options{
				InMemory: true, Addr: "10.0.0.1:4730", Dialect: gearmantest.Perl, Version: "a server of mine",
			},
		)
		for range 3 {
			s.Submit("f", "", nil)
		}
		runs := 0
		inBubble(t, Options{}, []*gearmantest.Server{s}, map[string]Handler{"f": func(
			_ context.Context, job *Job,
		) ([]byte, error) {
			if v := job.ServerVersion(); v.Dialect != proto.Unknown || v.Text != "a server of mine" {
				t.Errorf("the server's version is %+v", v)
			}
			runs++
			return nil, nil
		}}, func(w *Worker) {
			time.Sleep(time.Minute)
			if st := w.Status(); st.Servers[0].Reconnects != 0 {
				t.Errorf("%d reconnects, want the refusal to cost none", st.Servers[0].Reconnects)
			}
		})
		if runs != 3 {
			t.Errorf("%d jobs run, want 3", runs)
		}
		if uniq, plain := requests(s, proto.TypeGrabJobUniq), requests(s, proto.TypeGrabJob); uniq != 1 || plain < 4 {
			t.Errorf("%d times GRAB_JOB_UNIQ and %d times GRAB_JOB, want one and the rest", uniq, plain)
		}
	})
}

// TestFuncErrors checks that a payload that its codec can't decode fails the job with an error that
// names the function, and so does a result that the codec can't encode.
func TestFuncErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		s.Submit("in", "", []byte("{no json"))
		s.Submit("out", "", []byte(`"x"`))
		got := map[string]Done{}
		o := Options{Hooks: Hooks{JobDone: func(job *Job, d Done) { got[job.Function()] = d }}}
		inBubble(t, o, []*gearmantest.Server{s}, map[string]Handler{
			"in": Func(
				codec.JSON, func(context.Context, *Job, int) (int, error) { return 0, errors.New("it was called") },
			),
			"out": Func(
				codec.JSON, func(context.Context, *Job, string) (chan int, error) { return make(chan int), nil },
			),
		}, func(*Worker) { time.Sleep(time.Minute) })
		for _, f := range []string{"in", "out"} {
			if d := got[f]; d.Outcome != Fail || d.Err == nil || strings.Contains(d.Err.Error(), "it was called") {
				t.Errorf("%s: %v, %v, want a failure of the codec", f, d.Outcome, d.Err)
			}
		}
	})
}
