package workerruntime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/worker"
	"github.com/gearman-operator/gearman-operator/internal/resolve"
	"github.com/gearman-operator/gearman-operator/internal/version"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/journal"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/logs"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
)

// run is one worker from its start to its end.
type run struct {
	opts     *options.Options
	log      *slog.Logger
	table    *process.Table
	handlers []*handler
	metrics  *metrics
	jobs     *jobs
	announce *announcer
	worker   *worker.Worker
	output   *logs.Limit // of the commands' lines
	draining atomic.Bool
	journal  *journal.Journal // nil: none
	machine  *Machine         // nil: this one
}

// Run works until signals brings the first SIGTERM or SIGINT and all running jobs are done, and
// returns the exit code. A second signal, or the drain timeout, requeues running jobs. SIGHUP
// replaces stream processes.
func Run(ctx context.Context, o *options.Options, log *slog.Logger, signals <-chan os.Signal) int {
	r, err := newRun(o, log, nil)
	if err == nil {
		err = r.main(ctx, signals)
	}
	unfinished := 0
	if r != nil && r.jobs != nil {
		unfinished = r.jobs.unfinished()
	}
	switch {
	case err == nil && unfinished > 0:
		log.Warn(
			"Worker stopped before all its jobs were finished: they were requeued, or their outcomes could not be sent; the job servers run them again",
			"jobs", unfinished,
		)
		return exitRequeued
	case err == nil:
		log.Info("Worker stopped, all its jobs are finished")
		return exitOK
	case errors.Is(err, worker.ErrStopped):
		log.Warn("Worker stopped before all its jobs were finished, the job servers run them again")
		return exitRequeued
	}
	log.Error("Worker failed", "error", err)
	return exitFailed
}

func newRun(o *options.Options, log *slog.Logger, m *Machine) (*run, error) {
	r := &run{opts: o, log: log, machine: m, table: process.NewTable(), metrics: newMetrics(o.FunctionNames())}
	if m == nil { // a simulated machine has no files
		r.opts = spooling(o, log)
		o = r.opts
	}
	r.output = logs.NewLimit(o.LogRate, int(o.LogRate*10), time.Now)
	for _, h := range o.Handlers {
		made, err := r.newHandler(h)
		if err != nil {
			return nil, err
		}
		r.handlers = append(r.handlers, made)
	}
	var err error
	skew := m.skew()
	if r.announce, err = newAnnouncer(
		o.PodUID, o.PodName, time.Now().Add(skew), o.Concurrency, o.FunctionNames(),
	); err != nil {
		return nil, err
	}
	r.announce.skew = skew
	if m != nil {
		r.announce.settle = playedSettle
	}
	r.jobs = newJobs(o.Concurrency, log, r.metrics, r.announce)
	tlsConfig, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	dial, names, err := r.network(tlsConfig != nil)
	if err != nil {
		return nil, err
	}
	var book worker.Journal
	if m != nil {
		book = m.Journal
	}
	if o.JournalDir != "" {
		if r.journal, err = journal.Open(o.JournalDir, o.Concurrency); err != nil {
			return nil, fmt.Errorf("--journal-dir: %w", err)
		}
		book = slotJournal{r.journal, log}
	}
	r.worker, err = worker.New(worker.Options{
		MaxPayload: maxPayload(o.MaxWorkload),
		Journal:    book, MaxJobs: o.ExitAfterJobs, StopWhenEmpty: o.UntilEmpty,
		Servers: resolve.Within(o.Servers, o.MaxServers), Concurrency: o.Concurrency, TLS: tlsConfig,
		DrainTimeout: o.DrainTimeout,
		Logger:       slog.New(logs.NewHandler(log.Handler(), logs.NewLimit(1, 30, time.Now))),
		ClientID:     r.announce.clientID, Linger: r.announce.linger(),
		SpoolAbove: o.SpoolAbove, SpoolDir: o.SpoolDir, Dialer: dial,
		Resolver: names,
		Hooks:    worker.Hooks{JobStart: r.jobs.start, JobDone: r.jobDone},
	})
	if err != nil {
		return nil, err
	}
	if err := r.register(); err != nil {
		return nil, err
	}
	return r, nil
}

// register connects the handlers with the library's worker.
func (r *run) register() error {
	for _, h := range r.handlers {
		h.guard.admit = func(slots int) {
			// Admit refuses only unknown names, and these are the handler's own.
			_ = r.worker.Admit(slots, h.Functions...)
		}
		h.guard.notify = func(state string) {
			r.announce.trouble(h.Functions, troubleLetter(h.Mode, state))
		}
		for _, f := range h.Functions {
			if err := r.worker.Handle(worker.Function{
				Name: f, Handler: r.jobs.handle(h), Slots: h.FunctionConcurrency,
				Retry: new(retryPolicy(&h.Handler)), OnSpoolError: r.jobs.unspooled(h),
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) main(parent context.Context, signals <-chan os.Signal) error {
	var ends *endpoints
	if r.opts.Listen != "" {
		var err error
		if ends, err = listen(r.opts.Listen, r); err != nil {
			return err
		}
	}
	// all ends last, when no jobs run any more; soft ends at the first signal.
	all, stopAll := context.WithCancel(context.WithoutCancel(parent))
	soft, stopSoft := context.WithCancel(parent)
	var wg sync.WaitGroup
	defer func() {
		stopSoft()
		stopAll()
		wg.Wait()
		for _, h := range r.handlers {
			h.close()
		}
		if r.journal != nil {
			_ = r.journal.Close() // no jobs run any more
		}
	}()

	if r.machine == nil {
		r.ownProcesses(all)
		wg.Go(func() { r.table.ReapOrphans(all) })
	}
	wg.Go(func() { r.sayLeftOut(all) })
	wg.Go(func() { r.onSignals(all, signals, stopSoft) })
	wg.Go(func() { r.announce.run(all, r.worker.RenewClientID, r.log) })
	if ends != nil {
		wg.Go(func() { ends.serve(all, r.log) })
	}
	for _, h := range r.handlers {
		wg.Go(func() { h.guard.Run(all) })
	}
	failed := r.startHandlers(all, &wg, stopSoft)
	r.log.LogAttrs(
		all, slog.LevelInfo, "Worker starts", slog.String("version", version.Version),
		slog.Any("servers", r.opts.Servers), slog.Any("functions", r.opts.FunctionNames()),
		slog.Int("concurrency", r.opts.Concurrency),
	)
	for _, h := range r.handlers {
		if !h.awaitUp(soft) {
			break
		}
	}
	var err error
	r.jobs.draining = soft.Done()
	if soft.Err() == nil {
		wg.Go(func() { r.sayReady(soft) })
		err = r.worker.Run(soft)
	}
	select {
	case why := <-failed:
		return errors.Join(why, err)
	default:
		return err
	}
}

// startHandlers starts what the handlers keep running beside jobs. The error that ends one of them
// arrives on failed, after stop was called.
func (r *run) startHandlers(ctx context.Context, wg *sync.WaitGroup, stop func()) (failed chan error) {
	failed = make(chan error, len(r.handlers))
	for _, h := range r.handlers {
		if up, ok := h.run.(runner); ok {
			wg.Go(func() {
				if err := up.Run(ctx); err != nil {
					failed <- err
					stop()
				}
			})
		}
	}
	return failed
}

func (r *run) sayReady(ctx context.Context) {
	select {
	case <-r.worker.Ready():
		r.log.LogAttrs(
			ctx, slog.LevelInfo, "Worker is registered",
			slog.Duration("after", time.Since(r.metrics.began).Round(100*time.Microsecond)),
		)
		if r.opts.OnReady != nil {
			r.opts.OnReady()
		}
	case <-ctx.Done():
	}
}

// leftOutEvery is the longest time until the log reports how many lines were left out.
const leftOutEvery = 10 * time.Second

// sayLeftOut logs how many lines were left out of the log, from time to time and at the end.
func (r *run) sayLeftOut(ctx context.Context) {
	tick := time.NewTicker(leftOutEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		r.output.Flush(ctx, r.log)
		r.jobs.failures.Flush(ctx, r.log)
	}
}

// sameSignal is how soon after the first signal a second one counts as the same: timeout and
// terminals send one signal to the process and to its group, so the worker gets it twice.
const sameSignal = 3 * time.Millisecond

// passOver drops the signals that come within sameSignal. The drain is reported only after that: a
// sender that has seen it begin means the next signal as a second one.
func passOver(signals <-chan os.Signal) {
	timer := time.NewTimer(sameSignal)
	defer timer.Stop()
	for {
		select {
		case <-signals:
		case <-timer.C:
			return
		}
	}
}

// onSignals stops the worker softly at the first SIGTERM or SIGINT and hard at the second.
func (r *run) onSignals(ctx context.Context, signals <-chan os.Signal, stopSoft func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			switch {
			case s == syscall.SIGHUP:
				r.log.LogAttrs(ctx, slog.LevelInfo, "Replacing the processes", slog.String("signal", s.String()))
				for _, h := range r.handlers {
					h.reload()
				}
			case r.draining.CompareAndSwap(false, true):
				stopSoft()
				passOver(signals)
				r.log.LogAttrs(ctx, slog.LevelInfo, "Draining: no more jobs are taken, running ones are finished", slog.String("signal", s.String()),
					slog.Int("running", r.jobs.running()), slog.Duration("drainTimeout", r.opts.DrainTimeout))
			default:
				r.log.LogAttrs(ctx, slog.LevelWarn, "Stopping at once, running jobs are requeued", slog.String(
					"signal", s.String(),
				),
					slog.Int("running", r.jobs.running()))
				_ = r.worker.StopAndCancel(ctx) // Run returns why the worker stopped
			}
		}
	}
}

// ready reports whether the worker counts as ready: from its first registration, whatever happens
// to the connections, until it drains. A job server that restarts must not make pods unready, since
// a scale-down removes unready pods first. A worker is also not ready if none of its handlers can
// start jobs.
func (r *run) ready() (bool, string) {
	if r.isDraining() {
		return false, "draining"
	}
	select {
	case <-r.worker.Ready():
		return r.anyStarts()
	default:
	}
	for _, h := range r.handlers {
		if up, ok := h.run.(runner); ok {
			if ok, why := up.Ready(); !ok {
				return false, why
			}
		}
	}
	return false, "not registered with any job server yet"
}

// anyStarts reports whether some handler can start jobs, or has been unable to only for a short
// time.
func (r *run) anyStarts() (bool, string) {
	var whys []string
	for _, h := range r.handlers {
		_, why, unready := h.guard.view()
		if !unready {
			return true, ""
		}
		whys = append(whys, fmt.Sprintf("jobs of %s can't be started: %s", strings.Join(h.Functions, ", "), why))
	}
	return false, strings.Join(whys, "; ")
}

func (r *run) isDraining() bool { return r.draining.Load() }

// maxPayload returns the library's limit; below 0 there is none.
func maxPayload(maxWorkload int64) int64 {
	if maxWorkload == 0 {
		return -1
	}
	return maxWorkload
}

// trySpool returns an error if no files can be made in the spool directory.
func trySpool(o *options.Options) error {
	f, err := spool.NewFile(o.SpoolDir)
	if err != nil {
		return err
	}
	return f.Close()
}
