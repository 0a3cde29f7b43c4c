package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/page"
)

// Options configure a [Fleet].
type Options struct {
	Files []string // with pools

	// StateDir holds the state files. Fleets of one machine share it, so that a pool has one owner.
	StateDir string
	// SecretsDir replaces the cluster's Secrets and ConfigMaps: the key K of the object N is the
	// file N/K. Empty: there are none.
	SecretsDir string
	// User runs the workers. Empty: the user that runs the fleet.
	User string
	// Program is the program whose command "worker" is started, with the environment ProgramEnv
	// added.
	Program    string
	ProgramEnv []string

	Log    *slog.Logger
	Output io.Writer // for what workers write, one line at a time, with the worker's name before it

	// ReloadEvery is how often the files are checked (2 s).
	ReloadEvery time.Duration
}

// Fleet runs the pools of some files.
type Fleet struct {
	o       Options
	log     *slog.Logger
	watcher *backlog.Watcher
	output  *lines
	launch  func(*process) error // starts the program of a process
	user    *account

	mu     sync.Mutex
	posted []func()
	wake   chan struct{}

	// The fields below belong to the goroutine of Run.
	files    map[string]string // their contents, as last read
	pools    map[backlog.PoolKey]*pool
	stopping bool
	hard     bool           // workers must requeue their jobs
	waiting  sync.WaitGroup // for processes

	snapshot atomic.Pointer[page.Snapshot]
}

// New reads the files and returns a fleet that is ready to run.
func New(o Options) (*Fleet, error) {
	if o.ReloadEvery <= 0 {
		o.ReloadEvery = 2 * time.Second
	}
	f := &Fleet{
		o: o, log: o.Log, output: &lines{out: o.Output}, wake: make(chan struct{}, 1),
		files: map[string]string{}, pools: map[backlog.PoolKey]*pool{},
	}
	f.watcher = backlog.New(backlog.Options{
		Logger: slog.New(slog.DiscardHandler), // its messages are in each pool's problems
		// The user's own machine: loopback is where the job server is.
		AddressPolicy: func(string, netip.AddrPort, string) error { return nil },
		OnTick:        f.onTick,
	})
	f.launch = f.exec
	f.snapshot.Store(&page.Snapshot{At: time.Now()})
	var err error
	if f.user, err = lookUpAccount(o.User); err != nil {
		return nil, err
	}
	if err := f.prepareStateDir(); err != nil {
		return nil, err
	}
	files, pools, err := f.read()
	if err != nil {
		return nil, err
	}
	if len(pools) == 0 {
		return nil, fmt.Errorf("there is no GearmanWorkerPool in %s", strings.Join(o.Files, ", "))
	}
	if err := f.apply(files, pools); err != nil {
		f.release()
		return nil, err
	}
	return f, nil
}

// Snapshot returns the state of the pools. It may be called from any goroutine.
func (f *Fleet) Snapshot(context.Context) (page.Snapshot, error) { return *f.snapshot.Load(), nil }

// Run runs the pools until ctx ends, then drains the workers, and returns when the last of them has
// ended. A value from now after that makes the workers requeue their jobs; one from reload reads
// the files at once.
func (f *Fleet) Run(ctx context.Context, reload, now <-chan struct{}) error {
	defer f.release()
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { _ = f.watcher.Run(watching) }) // Run returns an error only at a second call
	defer wg.Wait()
	defer stopWatching()
	defer f.waiting.Wait()

	tick := time.NewTicker(f.o.ReloadEvery)
	defer tick.Stop()
	f.decideAll()
	done := ctx.Done()
	for {
		select {
		case <-done:
			done = nil
			f.drain()
		case <-now:
			if f.stopping {
				f.requeue()
			}
		case <-reload:
			f.reload(true)
		case <-tick.C:
			f.reload(false)
			f.tick()
		case <-f.wake:
			f.runPosted()
		}
		f.forgetGone()
		f.publish()
		if f.stopping && len(f.pools) == 0 {
			return nil
		}
	}
}

// post runs fn in the fleet's goroutine. It never blocks.
func (f *Fleet) post(fn func()) {
	f.mu.Lock()
	f.posted = append(f.posted, fn)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *Fleet) runPosted() {
	f.mu.Lock()
	posted := f.posted
	f.posted = nil
	f.mu.Unlock()
	for _, fn := range posted {
		fn()
	}
}

// onTick gets the pools to decide on from the poller.
func (f *Fleet) onTick(keys []backlog.PoolKey, _ bool) {
	keys = slices.Clone(keys)
	f.post(func() {
		for _, key := range keys {
			if p := f.pools[key]; p != nil {
				p.decide(time.Now())
			}
		}
	})
}

func (f *Fleet) decideAll() {
	for _, p := range f.pools {
		p.decide(time.Now())
	}
}

// tick handles what no event reports: workers of an earlier fleet that end, and restarts that are
// due. A worker may see two signals in quick succession as one, so the second is repeated.
func (f *Fleet) tick() {
	if f.hard {
		f.requeue()
	}
	for _, p := range f.pools {
		p.checkLeftovers()
		p.act(time.Now())
	}
}

// drain stops all workers softly.
func (f *Fleet) drain() {
	f.stopping = true
	running := 0
	for _, p := range f.pools {
		running += len(p.processes)
		p.stopWorkers()
	}
	f.log.Info("Stopping: workers finish their jobs; interrupt again to requeue the jobs", "workers", running)
}

// requeue makes all workers stop now; their jobs are requeued.
func (f *Fleet) requeue() {
	if !f.hard {
		f.log.Warn("Stopping now: running jobs are requeued")
	}
	f.hard = true
	for _, p := range f.pools {
		for _, w := range p.processes {
			w.signalAgain()
		}
	}
}

// forgetGone deletes pools that were removed from the files and have no processes any more.
func (f *Fleet) forgetGone() {
	maps.DeleteFunc(f.pools, func(_ backlog.PoolKey, p *pool) bool {
		if !p.leaving || len(p.processes) > 0 {
			return false
		}
		p.release()
		return true
	})
}

// release gives up the ownership of all pools.
func (f *Fleet) release() {
	for _, p := range f.pools {
		p.release()
	}
}

// prepareStateDir creates the directory of the state files, which must not be writable by others.
func (f *Fleet) prepareStateDir() error {
	if f.o.StateDir == "" {
		return errors.New("there is no state directory: name one with --state-dir")
	}
	if err := os.MkdirAll(f.o.StateDir, 0o700); err != nil {
		return fmt.Errorf("create the state directory: %w", err)
	}
	info, err := os.Stat(f.o.StateDir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf(
			"state directory %s is writable by other users: name another one with --state-dir", f.o.StateDir,
		)
	}
	return f.user.own(f.o.StateDir)
}
