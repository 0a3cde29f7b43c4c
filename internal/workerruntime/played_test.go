package workerruntime

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
)

const playedServer = "192.0.2.1:4730"

// command simulates a command that takes a second, or is missing.
type command struct {
	missing atomic.Bool
	runs    atomic.Int32
}

func (c *command) Handle(ctx context.Context, j *job.Job) job.Outcome {
	if err := c.Check(ctx); err != nil {
		return job.NeverRan(job.StartFailed, "%v", err)
	}
	c.runs.Add(1)
	j.HasStarted()
	select {
	case <-time.After(time.Second):
		return job.Done(nil)
	case <-ctx.Done():
		return job.Interrupted(ctx)
	}
}

func (c *command) Check(context.Context) error {
	if c.missing.Load() {
		return errors.New("no such file or directory")
	}
	return nil
}

func noNames(context.Context, string, string) ([]netip.Addr, error) {
	return nil, errors.New("no such host")
}

// play runs a worker in a synctest bubble against a job server, and waits for its end after test.
func play(t *testing.T, c *command, test func(s *gearmantest.Server, p *Played, completed *atomic.Int32)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory(playedServer))
		defer s.Close()
		o, err := options.Parse(options.Exec, []string{
			"--server=" + playedServer, "--function=f", "--drain-timeout=30s", "--", "/work",
		}, options.Environment{
			Lookup:   func(string) (string, bool) { return "", false },
			ReadFile: func(string) ([]byte, error) { return nil, errors.New("no file") },
		})
		if err != nil {
			t.Fatal(err)
		}
		var completed atomic.Int32
		p, err := NewPlayed(o, &Machine{Dial: s.DialContext, LookupIP: noNames, Handler: c, Done: func(
			_ *worker.Job, d worker.Done,
		) {
			if d.Outcome == worker.Complete {
				completed.Add(1)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- p.Run(t.Context()) }()
		test(s, p, &completed)
		p.Terminate()
		if err := <-ended; err != nil && !errors.Is(err, worker.ErrStopped) {
			t.Errorf("the worker ended with %v", err)
		}
	})
}

// TestPlayed: on a simulated machine a worker registers, runs jobs, and ends after the running job.
func TestPlayed(t *testing.T) {
	t.Parallel()
	c := &command{}
	play(t, c, func(s *gearmantest.Server, p *Played, completed *atomic.Int32) {
		time.Sleep(time.Second)
		if !p.Ready() || p.Unfit() {
			t.Errorf("ready %t, unfit %t after a second, want true and false", p.Ready(), p.Unfit())
		}
		s.Submit("f", "", nil)
		s.Submit("f", "", nil)
		time.Sleep(1500 * time.Millisecond) // into the second job
		p.Terminate()
		time.Sleep(time.Second)
		if got := completed.Load(); got != 2 {
			t.Errorf("%d jobs completed, want both: the one that ran when SIGTERM came was to be finished", got)
		}
		if p.Ready() {
			t.Error("it is ready while it drains")
		}
	})
}

// TestPlayedBreaker: without its command a worker takes no jobs, and takes them again when the
// command is back.
func TestPlayedBreaker(t *testing.T) {
	t.Parallel()
	c := &command{}
	c.missing.Store(true)
	play(t, c, func(s *gearmantest.Server, p *Played, completed *atomic.Int32) {
		s.Submit("f", "", nil)
		time.Sleep(20 * time.Second)
		if !p.Unfit() || p.Ready() || c.runs.Load() != 0 {
			t.Errorf(
				"unfit %t, ready %t, %d runs without the command, want true, false and none", p.Unfit(), p.Ready(),
				c.runs.Load(),
			)
		}
		c.missing.Store(false)
		time.Sleep(3 * time.Minute)
		if p.Unfit() || !p.Ready() || completed.Load() != 1 {
			t.Errorf(
				"unfit %t, ready %t, %d jobs completed with the command, want false, true and 1", p.Unfit(), p.Ready(),
				completed.Load(),
			)
		}
	})
}

// TestPlayedKill: a killed worker requeues running jobs and ends at once.
func TestPlayedKill(t *testing.T) {
	t.Parallel()
	c := &command{}
	play(t, c, func(s *gearmantest.Server, p *Played, completed *atomic.Int32) {
		s.Submit("f", "", nil)
		time.Sleep(500 * time.Millisecond)
		if c.runs.Load() != 1 {
			t.Fatal("the job doesn't run")
		}
		p.Kill(context.Background())
		time.Sleep(2 * time.Second)
		if completed.Load() != 0 {
			t.Error("the job completed after the kill")
		}
	})
}

// TestPlayedNeeds: a machine that lacks a required part is refused.
func TestPlayedNeeds(t *testing.T) {
	t.Parallel()
	if _, err := NewPlayed(&options.Options{}, &Machine{}); err == nil {
		t.Error("a machine without a network was accepted")
	}
}
