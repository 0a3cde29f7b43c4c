package streammode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/execmode"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
)

// Pool is a number of processes that take jobs.
type Pool struct {
	opts   Options
	timing Timing
	path   string
	env    []string
	null   *os.File
	random func() float64

	wg sync.WaitGroup // all goroutines of Run

	mu      sync.Mutex
	idle    []*child
	waiting []chan *child
	alive   int           // processes past their handshake
	trouble error         // why the last start failed; nil once one has succeeded
	gen     int           // generation of the processes, from 1; a reload begins the next
	renew   chan struct{} // closed at a reload
	refused int           // the generation whose processes don't start

	rolling chan struct{} // has room for the one process that is being replaced by a reload

	once sync.Once
	up   chan struct{}
}

// New looks the command up, so that a missing one is an error at the start.
func New(opts Options) (*Pool, error) {
	if len(opts.Command) == 0 {
		return nil, errors.New(
			"stream: no command given; write it after --, as in: gearman-worker stream --function resize -- php worker.php",
		)
	}
	path, err := execmode.LookPath(opts.Command[0], opts.Dir)
	if err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	return &Pool{
		opts: opts, timing: opts.Timing.withDefaults(), path: path, env: process.JobEnvironment(os.Environ()),
		null: null, random: rand.Float64, gen: 1,
		renew: make(chan struct{}), rolling: make(chan struct{}, 1), up: make(chan struct{}),
	}, nil
}

// Run keeps the processes until ctx is done; no job may be running then. It returns an error if the
// first processes don't start: an error is better than endless retries of a command that can't
// work. Later failures are retried with back-off.
func (p *Pool) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if len(p.opts.Watch) > 0 {
		loaded := fingerprint(p.opts.Watch) // before a process reads them
		p.wg.Go(func() { p.watch(ctx, loaded) })
	}
	for range p.opts.Size {
		p.wg.Go(func() { p.keep(ctx, cancel) })
	}
	p.wg.Wait()
	_ = p.null.Close()
	if cause := context.Cause(ctx); errors.As(cause, new(*startError)) {
		return cause
	}
	return nil
}

// startError ends the pool because its command can't be started.
type startError struct{ err error }

func (e *startError) Error() string { return "the command does not come up: " + e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// keep keeps one process running.
func (p *Pool) keep(ctx context.Context, giveUp context.CancelCauseFunc) {
	failures := 0
	var c *child // the process that is up and in the pool
	for ctx.Err() == nil {
		jobs := 0
		var err error
		if c == nil {
			if c, err = p.bringUp(ctx); err != nil {
				p.noneCameUp(err)
			}
		}
		if c != nil {
			old := c
			c, err = p.live(ctx, old)
			jobs = old.jobs
		}
		if err == nil || ctx.Err() != nil {
			failures = 0
			continue
		}
		failures++
		if jobs > 0 {
			failures = 1
		}
		if !p.wasUp() && failures >= p.timing.Starts {
			giveUp(&startError{err})
			return
		}
		wait := p.timing.backoff().Delay(failures)
		p.opts.Log.LogAttrs(ctx, slog.LevelWarn, "Process failed and is started again", slog.Any("error", err),
			slog.Int("failures", failures), slog.Duration("wait", wait.Round(time.Millisecond)))
		_ = gearman.Sleep(ctx, wait) // the loop sees the end of ctx
	}
	if c != nil { // a successor that came up as the worker stopped
		p.count(-1)
		p.remove(c)
		c.end(false)
	}
}

// bringUp starts a process and puts it into the pool. It returns nil and no error if the worker
// stops.
func (p *Pool) bringUp(ctx context.Context) (*child, error) {
	c, err := p.start()
	if err != nil {
		return nil, err
	}
	if err := c.handshake(ctx); err != nil {
		status := c.end(true)
		if ctx.Err() == nil {
			return nil, fmt.Errorf("%w (%v)", err, status)
		}
		return nil, nil // the worker stops, which cut the handshake short
	}
	p.opts.Log.LogAttrs(ctx, slog.LevelDebug, "Process is ready", slog.Int("pid", c.proc.Pid))
	p.count(+1)
	p.put(c)
	return c, nil
}

// live is one process from its first job to its end. It returns the process that replaces it if
// there is one already, and an error unless its end was ordered.
func (p *Pool) live(ctx context.Context, c *child) (next *child, err error) {
	next, why, failed := p.attend(ctx, c)
	p.count(-1)
	status := c.end(failed != nil)
	if failed != nil {
		return next, fmt.Errorf("%w (%v)", failed, status)
	}
	p.opts.Log.LogAttrs(
		ctx, slog.LevelDebug, "Process was replaced", slog.Int("pid", c.proc.Pid), slog.String("why", why),
		slog.Int("jobs", c.jobs),
	)
	return next, nil
}

// count records that a process has come up or ended.
func (p *Pool) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alive += n
	if n > 0 {
		p.trouble = nil
		p.once.Do(func() { close(p.up) })
	}
}

// noneCameUp records that a process failed at its start. If there is no other, jobs don't wait for
// one.
func (p *Pool) noneCameUp(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble = err
	if p.alive > 0 {
		return
	}
	for _, ch := range p.waiting {
		close(ch)
	}
	p.waiting = nil
}

// Up is closed once a first process is ready for jobs.
func (p *Pool) Up() <-chan struct{} { return p.up }

func (p *Pool) wasUp() bool {
	select {
	case <-p.up:
		return true
	default:
		return false
	}
}

// attend watches a process until it must be replaced and no job can be in it any more. It returns
// the process that replaces it if there is one already, and why it is replaced, or an error if it
// failed.
func (p *Pool) attend(ctx context.Context, c *child) (next *child, why string, failed error) {
	renewed := p.renewal(c)
	var successor chan *child // receives the process that replaces this one, or nil
	defer func() {
		if successor != nil {
			next = <-successor
		}
	}()
	var lifetime, ping <-chan time.Time
	if !c.expires.IsZero() {
		timer := time.NewTimer(time.Until(c.expires))
		defer timer.Stop()
		lifetime = timer.C
	}
	if p.opts.PingEvery > 0 {
		ticker := time.NewTicker(p.opts.PingEvery)
		defer ticker.Stop()
		ping = ticker.C
	}
	for {
		select {
		case why := <-c.retire: // from Handle, which doesn't use it any more
			return retired(nil, why)
		case <-c.exited:
			if p.remove(c) {
				return nil, "", errEnded
			}
			why = "ended" // if it ended in a job, Handle sees it too
		case <-ping:
			if !p.removeUnused(c, p.opts.PingEvery) {
				continue
			}
			if err := c.ping(); err != nil {
				return nil, "", fmt.Errorf("ping: %w", err)
			}
			p.put(c)
			continue
		case <-renewed:
			renewed = nil
			successor = make(chan *child, 1)
			p.wg.Go(func() { successor <- p.succeed(ctx) })
			continue
		case n := <-successor:
			successor = nil
			if n == nil { // this one stays
				c.generation = p.generation()
				renewed = p.renewal(c)
				continue
			}
			next, why = n, "reload"
		case <-lifetime:
			why = "max-lifetime"
		case <-ctx.Done():
			why = "the worker stops"
		}
		if p.removeOr(c, why) {
			return next, why, nil
		}
		// A job has the process: release passes it on when the job is done.
		return retired(next, <-c.retire)
	}
}

// retired is what attend returns for a process that Handle has retired.
func retired(next *child, why string) (*child, string, error) {
	if why == whyBroken {
		return next, "", errBroken
	}
	return next, why, nil
}

// succeed starts a process of the current generation to replace an older one, one at a time. It
// returns nil if none comes up: the older one is better than none.
func (p *Pool) succeed(ctx context.Context) *child {
	select {
	case p.rolling <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	defer func() { <-p.rolling }()
	gen := p.generation()
	p.mu.Lock()
	refused := p.refused == gen
	p.mu.Unlock()
	if refused {
		return nil
	}
	c, err := p.bringUp(ctx)
	if err != nil {
		p.mu.Lock()
		p.refused = gen
		p.mu.Unlock()
		p.opts.Log.LogAttrs(
			ctx, slog.LevelError, "A new process does not come up, the old ones are kept", slog.Any("error", err),
		)
	}
	return c
}

var errEnded = errors.New("the process ended by itself")

// whyBroken retires a process that died, broke the protocol or was in a job that had to be ended.
const whyBroken = "broken"

var errBroken = errors.New("the process failed in a job")

func (p *Pool) generation() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gen
}

// renewal returns a channel that is closed when the processes of c's generation must be replaced.
func (p *Pool) renewal(c *child) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.generation != p.gen {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	return p.renew
}

// Reload replaces all processes one by one, each after its successor has come up. If a new one
// doesn't come up, the old ones stay.
func (p *Pool) Reload() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gen++
	close(p.renew)
	p.renew = make(chan struct{})
}

// Ready reports whether there is a process to run a job.
func (p *Pool) Ready() (bool, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alive == 0 {
		return false, p.noneUp().Error()
	}
	return true, ""
}

func (p *Pool) noneUp() error {
	if p.trouble != nil {
		return fmt.Errorf("no process is up: %w", p.trouble)
	}
	return errors.New("no process is up")
}

// Check reports whether there is a process to run a job. A process that is up has answered, at its
// start or since.
func (p *Pool) Check(context.Context) error {
	if ok, why := p.Ready(); !ok {
		return errors.New(why)
	}
	return nil
}

// put gives an idle process to a job that waits for one, or keeps it.
func (p *Pool) put(c *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.putLocked(c)
}

func (p *Pool) putLocked(c *child) {
	c.lastUsed = time.Now()
	if len(p.waiting) > 0 {
		ch := p.waiting[0]
		p.waiting = p.waiting[1:]
		ch <- c // never blocks: the channel is made for one value
		return
	}
	p.idle = append(p.idle, c)
}

// remove takes an idle process out of the pool, so that no job gets it any more. It reports false
// if a job has it.
func (p *Pool) remove(c *child) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.removeLocked(c)
}

// removeUnused is remove for a process that has had no job for at least that long.
func (p *Pool) removeUnused(c *child, unused time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(c.lastUsed) >= unused && p.removeLocked(c)
}

// removeOr is remove, except that for a process that has a job it records why the process must
// leave after it.
func (p *Pool) removeOr(c *child, why string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.removeLocked(c) {
		return true
	}
	c.leave = why
	return false
}

func (p *Pool) removeLocked(c *child) bool {
	i := slices.Index(p.idle, c)
	if i < 0 {
		return false
	}
	p.idle = slices.Delete(p.idle, i, i+1)
	return true
}

var errNoProcess = errors.New("no process came up in time")

// take gets an idle process, and waits for one if there is none.
func (p *Pool) take(ctx context.Context) (*child, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return c, nil
	}
	if p.alive == 0 && p.trouble != nil {
		defer p.mu.Unlock()
		return nil, p.noneUp()
	}
	ch := make(chan *child, 1)
	p.waiting = append(p.waiting, ch)
	p.mu.Unlock()

	timer := time.NewTimer(p.timing.Take)
	defer timer.Stop()
	var err error
	select {
	case c := <-ch:
		if c == nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			return nil, p.noneUp()
		}
		return c, nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = errNoProcess
	}
	p.mu.Lock()
	i := slices.Index(p.waiting, ch)
	if i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	p.mu.Unlock()
	if i < 0 { // it came at the last moment
		if c := <-ch; c != nil {
			p.put(c)
		}
	}
	return nil, err
}
