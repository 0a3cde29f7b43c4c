package workerruntime

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/telemetry"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/execmode"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/httpmode"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/logs"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/streammode"
)

// outputGrace is how long the output of an ended command is still read while something that it
// started holds a pipe open. What the command itself wrote is in the pipe when it ends, so this is
// only for helpers such as "tee" that end last.
const outputGrace = 500 * time.Millisecond

// handler is one handler of the options with the parts that run its jobs.
type handler struct {
	options.Handler
	run   job.Handler
	guard *guard
}

// runner is a handler that has processes or connections to maintain.
type runner interface {
	job.Runner
	Up() <-chan struct{}
}

// mode is how the handlers of one mode are made, and what else depends on the mode.
type mode struct {
	trouble byte // the client id's letter while its jobs can't run
	forks   bool // it starts a process for each job, which takes a slot's thread (roomForThreads)
	make    func(*source) (job.Handler, error)
}

// source is what a handler is made from.
type source struct {
	*options.Options
	options.Handler
	result spool.Limits
	log    *slog.Logger
	output *logs.Limit
	table  *process.Table
}

var modes = map[options.Mode]mode{
	options.Exec: {trouble: telemetry.TroubleStart, forks: true, make: func(s *source) (job.Handler, error) {
		return execmode.New(execmode.Options{
			Command: s.Command, Dir: s.Dir, WorkloadAsArgument: s.WorkloadAsArgument, StreamOutput: s.StreamOutput,
			Result:    s.result,
			KillAfter: s.KillAfter, OutputGrace: outputGrace, Log: s.log, LogLimit: s.output, Table: s.table,
			// gearmanctl is a worker too, and its command version polls a job server.
			Probe: []string{process.Self(), "--version"},
		})
	}},
	options.Stream: {trouble: telemetry.TroubleProcess, make: func(s *source) (job.Handler, error) {
		return streammode.New(streammode.Options{
			Command: s.Command, Functions: s.Functions, Dir: s.Dir, Size: s.Concurrency, MaxJobs: s.MaxJobs,
			MaxMemory: s.MaxMemory, MaxLifetime: s.MaxLifetime, PingEvery: s.PingEvery,
			Watch: s.Watch, Result: s.result, KillAfter: s.KillAfter, Log: s.log, LogLimit: s.output, Table: s.table,
		})
	}},
	options.HTTP: {trouble: telemetry.TroubleUnreachable, make: func(s *source) (job.Handler, error) {
		return httpmode.New(httpmode.Options{
			URL: s.URL, Headers: s.Headers, Size: s.Concurrency, Result: s.result, Log: s.log, LogLimit: s.output,
		})
	}},
}

func newHandler(
	o *options.Options, h options.Handler, log *slog.Logger, output *logs.Limit, table *process.Table,
) (*handler, error) {
	m, ok := modes[h.Mode]
	if !ok {
		return nil, fmt.Errorf("there is no mode %q", h.Mode)
	}
	run, err := m.make(&source{
		Options: o, Handler: h, result: spool.Limits{Dir: o.SpoolDir, Above: o.SpoolAbove, Max: h.MaxResult},
		log: log, output: output, table: table,
	})
	if err != nil {
		return nil, err
	}
	functions := slog.Any("functions", h.Functions)
	return &handler{Handler: h, run: run, guard: newGuard(run, h.FailingAfter, log.With(functions))}, nil
}

// newHandler returns the handler with its guard, on this machine or on a simulated one.
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

// close frees what a handler without its own Run holds.
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
