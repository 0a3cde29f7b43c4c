package workerruntime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/breaker"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

// played is a handler whose jobs have the outcomes that the test sets.
type played struct {
	mu      sync.Mutex
	outcome job.Outcome
	check   error
	took    time.Duration
	ran     int
}

func (p *played) set(o job.Outcome, check error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outcome, p.check = o, check
}

func (p *played) Handle(ctx context.Context, j *job.Job) job.Outcome {
	p.mu.Lock()
	o, took := p.outcome, p.took
	p.ran++
	p.mu.Unlock()
	if o.NeverRan {
		return o
	}
	j.HasStarted()
	select {
	case <-time.After(took):
	case <-ctx.Done():
		return job.Interrupted(ctx)
	}
	return o
}

func (p *played) Check(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.check
}

// inGuard runs f under virtual time, with a guard whose admissions are recorded in words.
func inGuard(t *testing.T, f func(t *testing.T, g *guard, p *played, admitted func() string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &played{outcome: job.Done(nil)}
		g := newGuard(p, 3, slog.New(slog.DiscardHandler))
		g.machine = breaker.New(3, func(d time.Duration) time.Duration { return d })
		var mu sync.Mutex
		var got []string
		g.admit = func(n int) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprint(n))
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { g.Run(ctx); close(done) }()
		f(t, g, p, func() string {
			mu.Lock()
			defer mu.Unlock()
			return strings.Join(got, " ")
		})
		cancel()
		<-done
	})
}

var neverRan = job.NeverRan(job.StartFailed, "no such file")

func TestGuardRetriesInTheSlot(t *testing.T) {
	t.Parallel()
	inGuard(t, func(t *testing.T, g *guard, p *played, admitted func() string) {
		p.set(neverRan, nil)
		time.AfterFunc(500*time.Millisecond, func() { p.set(job.Done(nil), nil) })
		begin := time.Now()
		if o := g.Handle(context.Background(), &job.Job{}, true); o.Kind != job.Completed {
			t.Errorf("outcome %+v", o)
		}
		if took := time.Since(begin); took != time.Second || admitted() != "0 -1" {
			t.Errorf("after %v, admissions %q", took, admitted())
		}
	})
}

// The log says why a check failed, and repeats it only if the reason is another.
func TestFailedCheckIsLogged(t *testing.T) {
	t.Parallel()
	inGuard(t, func(t *testing.T, g *guard, p *played, _ func() string) {
		var log kit.Buffer
		g.log = slog.New(slog.NewTextHandler(&log, nil))
		p.set(neverRan, errors.New("no such file"))
		g.Handle(context.Background(), &job.Job{}, true)
		time.Sleep(5 * time.Minute)
		p.set(neverRan, errors.New("permission denied"))
		time.Sleep(5 * time.Minute)
		const failed = "A check without a job failed; the worker still takes no jobs"
		if n := strings.Count(log.String(), failed); n != 2 ||
			!strings.Contains(log.String(), failed+`" reason="permission denied"`) {
			t.Errorf("%d lines of failed checks, want one for each reason:\n%s", n, log.String())
		}
	})
}

func TestGuardOpensAndRecovers(t *testing.T) {
	t.Parallel()
	inGuard(t, func(t *testing.T, g *guard, p *played, admitted func() string) {
		p.set(neverRan, errors.New("still no such file"))
		var wg sync.WaitGroup
		for range 16 { // all jobs that the slots held
			wg.Go(func() {
				if o := g.Handle(context.Background(), &job.Job{}, true); o.Kind != job.Requeued || !o.NeverRan {
					t.Errorf("outcome %+v", o)
				}
			})
		}
		wg.Wait()
		if _, _, unready := g.view(); unready {
			t.Error("unready at once")
		}
		time.Sleep(20 * time.Second)
		if state, why, unready := g.view(); state != breaker.Open || !unready || why != "still no such file" {
			t.Errorf("%v, %q, unready %v", state, why, unready)
		}
		if admitted() != "0" {
			t.Errorf("admissions %q: no job is to be taken", admitted())
		}
		half := func() {
			for state := breaker.Open; state != breaker.Half; state, _, _ = g.view() {
				time.Sleep(100 * time.Millisecond)
			}
		}
		p.set(neverRan, nil)
		half()
		if o := g.Handle(context.Background(), &job.Job{}, true); o.Kind != job.Requeued || admitted() != "0 1 0" {
			t.Errorf("a trial that fails: %+v, admissions %q", o, admitted())
		}
		p.set(job.Done(nil), nil)
		half()
		if o := g.Handle(context.Background(), &job.Job{}, true); o.Kind != job.Completed ||
			admitted() != "0 1 0 1 0 -1" {
			t.Errorf("a trial that starts: %+v, admissions %q", o, admitted())
		}
		if state, _, unready := g.view(); state != breaker.Closed || unready {
			t.Errorf("%v, unready %v", state, unready)
		}
	})
}

// TestGuardRecoversWithoutAJob: a worker that gets no job recovers once a check passes.
func TestGuardRecoversWithoutAJob(t *testing.T) {
	t.Parallel()
	inGuard(t, func(t *testing.T, g *guard, p *played, admitted func() string) {
		p.set(neverRan, errors.New("still no such file"))
		if o := g.Handle(context.Background(), &job.Job{}, true); o.Kind != job.Requeued {
			t.Fatalf("outcome %+v", o)
		}
		time.Sleep(20 * time.Second)
		p.set(neverRan, nil)
		time.Sleep(2 * time.Minute)
		if state, _, unready := g.view(); state != breaker.Closed || unready || admitted() != "0 1 -1" {
			t.Errorf("%v, unready %v, admissions %q", state, unready, admitted())
		}
	})
}

// TestGuardDoesNotWaitForALongTrial: a trial job counts as started once it has run for a second,
// not when it ends.
func TestGuardDoesNotWaitForALongTrial(t *testing.T) {
	t.Parallel()
	inGuard(t, func(t *testing.T, g *guard, p *played, _ func() string) {
		p.set(neverRan, nil)
		g.Handle(context.Background(), &job.Job{}, true)
		time.Sleep(10 * time.Second)
		p.set(job.Done(nil), nil)
		p.took = time.Hour
		done := make(chan struct{})
		go func() { g.Handle(context.Background(), &job.Job{}, true); close(done) }()
		time.Sleep(2 * time.Second)
		if state, _, _ := g.view(); state != breaker.Closed {
			t.Errorf("%v while the trial runs", state)
		}
		<-done
	})
}

// TestGuardSlowsDown: consecutive failures slow the worker down to one job a second.
func TestGuardSlowsDown(t *testing.T) {
	t.Parallel()
	inGuard(t, func(t *testing.T, g *guard, p *played, admitted func() string) {
		p.set(job.Failf(job.ExitCode, "exit code 1"), nil)
		for range 3 {
			g.Handle(context.Background(), &job.Job{}, true)
		}
		if state, _, unready := g.view(); state != breaker.Failing || unready || admitted() != "0" {
			t.Fatalf("%v, unready %v, admissions %q", state, unready, admitted())
		}
		begin := time.Now()
		for n := range 5 {
			for !strings.HasSuffix(admitted(), "1") {
				time.Sleep(10 * time.Millisecond)
			}
			if since := time.Since(begin); since < time.Duration(n+1)*time.Second {
				t.Errorf("job %d is taken after %v", n, since)
			}
			g.Handle(context.Background(), &job.Job{}, true)
		}
		p.set(job.Done(nil), nil)
		time.Sleep(time.Second)
		g.Handle(context.Background(), &job.Job{}, true)
		if state, _, _ := g.view(); state != breaker.Closed || !strings.HasSuffix(admitted(), "1 0 -1") {
			t.Errorf("%v after a job has completed, admissions %q", state, admitted())
		}
	})
}

// TestGuardGivesHeldJobsUp: a held job is requeued when the worker drains. A job server that would
// fail requeued jobs (Perl's) gets the reason instead, once the job's time is up or the worker
// stops, and not before.
func TestGuardGivesHeldJobsUp(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		requeues bool
		drain    bool
		after    time.Duration
		kind     job.Kind
		reason   job.Reason
	}{
		"drain":                {true, true, 100 * time.Millisecond, job.Requeued, job.StartFailed},
		"drain, no requeues":   {false, true, 100 * time.Second, job.Failed, job.StartFailed},
		"timeout, no requeues": {false, false, 100 * time.Second, job.Failed, job.TimedOut},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inGuard(t, func(t *testing.T, g *guard, p *played, _ func() string) {
				p.set(neverRan, errors.New("no such file"))
				draining := make(chan struct{})
				ctx, cancel := context.WithCancelCause(context.Background())
				time.AfterFunc(tc.after, func() {
					if tc.drain {
						close(draining)
						return
					}
					cancel(job.ErrTimeout)
				})
				begin := time.Now()
				o := g.Handle(ctx, &job.Job{Draining: draining}, tc.requeues)
				if o.Kind != tc.kind || o.Reason != tc.reason || o.Message != "no such file" ||
					time.Since(begin) != tc.after {
					t.Errorf("outcome %+v after %v", o, time.Since(begin))
				}
				cancel(nil)
			})
		})
	}
}

// TestGuardRequeuesABusyJobAtOnce: a service that was busy for long has cost the slot enough, so
// the slot doesn't try the job again.
func TestGuardRequeuesABusyJobAtOnce(t *testing.T) {
	t.Parallel()
	inGuard(t, func(t *testing.T, g *guard, p *played, admitted func() string) {
		p.set(job.NeverRan(job.Busy, "503"), nil)
		begin := time.Now()
		if o := g.Handle(context.Background(), &job.Job{}, true); o.Kind != job.Requeued || time.Since(begin) != 0 ||
			admitted() != "0" {
			t.Errorf("outcome %+v after %v, admissions %q", o, time.Since(begin), admitted())
		}
	})
}
