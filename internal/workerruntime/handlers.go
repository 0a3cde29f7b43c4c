package workerruntime

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/execmode"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/httpmode"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/logs"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/streammode"
)

// outputGrace is how long the output of an ended command is read on while something that it started
// holds a pipe. What the command itself wrote is in the pipe when it ends, so this is only for
// helpers like "tee" that come last.
const outputGrace = 500 * time.Millisecond

// handler is one handler of the options with what runs its jobs.
type handler struct {
	options.Handler
	run   job.Handler
	guard *guard
}

// runner is a handler that has something to keep up.
type runner interface {
	job.Runner
	Up() <-chan struct{}
}

func newHandler(
	o *options.Options, h options.Handler, log *slog.Logger, output *logs.Limit, table *process.Table,
) (*handler, error) {
	limits := spool.Limits{Dir: o.SpoolDir, Above: o.SpoolAbove, Max: h.MaxResult}
	var run job.Handler
	var err error
	switch h.Mode {
	case options.Exec:
		run, err = execmode.New(execmode.Options{
			Command: h.Command, Dir: h.Dir, WorkloadAsArgument: h.WorkloadAsArgument, StreamOutput: h.StreamOutput,
			Result:    limits,
			KillAfter: h.KillAfter, OutputGrace: outputGrace, Log: log, LogLimit: output, Table: table,
			Probe: []string{process.Self(), "version"},
		})
	case options.Stream:
		run, err = streammode.New(streammode.Options{
			Command: h.Command, Functions: h.Functions, Dir: h.Dir, Size: o.Concurrency, MaxJobs: h.MaxJobs,
			MaxMemory: h.MaxMemory, MaxLifetime: h.MaxLifetime, PingEvery: h.PingEvery,
			Watch: h.Watch, Result: limits, KillAfter: h.KillAfter, Log: log, LogLimit: output, Table: table,
		})
	case options.HTTP:
		run, err = httpmode.New(httpmode.Options{
			URL: h.URL, Headers: h.Headers, Size: o.Concurrency, Result: limits, Log: log, LogLimit: output,
		})
	default:
		err = fmt.Errorf("there is no mode %q", h.Mode)
	}
	if err != nil {
		return nil, err
	}
	functions := slog.Any("functions", h.Functions)
	return &handler{Handler: h, run: run, guard: newGuard(run, h.FailingAfter, log.With(functions))}, nil
}

// newHandler is the handler with its guard, on this machine or the played one.
func (r *run) newHandler(h options.Handler) (*handler, error) {
	if r.machine == nil {
		return newHandler(r.opts, h, r.log, r.output, r.table)
	}
	return &handler{Handler: h, run: r.machine.Handler, guard: newGuard(r.machine.Handler, h.FailingAfter, r.log)}, nil
}

// reload replaces the processes of stream handlers.
func (h *handler) reload() {
	if p, ok := h.run.(*streammode.Pool); ok {
		p.Reload()
	}
}

// close frees what a handler without a Run of its own holds.
func (h *handler) close() {
	if c, ok := h.run.(io.Closer); ok {
		_ = c.Close()
	}
}

// awaitUp waits until a handler can take jobs.
func (h *handler) awaitUp(ctx context.Context) bool {
	r, ok := h.run.(runner)
	if !ok {
		return true
	}
	select {
	case <-r.Up():
		return true
	case <-ctx.Done():
		return false
	}
}
