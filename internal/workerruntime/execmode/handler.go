package execmode

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/logs"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
)

// Options are how a job becomes a process.
type Options struct {
	// Command is the program and its arguments.
	Command []string
	// Dir is the working directory of the command; empty: the worker's own.
	Dir string
	// WorkloadAsArgument appends the workload to the arguments instead of writing it to standard
	// input.
	WorkloadAsArgument bool
	// StreamOutput sends standard output to the client as it comes (WORK_DATA) and ends with an
	// empty result.
	StreamOutput bool
	// Result bounds the result, and sets where a large one is kept.
	Result spool.Limits
	// KillAfter is how long a command may take to end after SIGTERM, before SIGKILL.
	KillAfter time.Duration
	// OutputGrace is how long output is still read after the command has ended while something that
	// it started holds a pipe.
	OutputGrace time.Duration

	// Probe is a program, with its arguments, that does nothing. Check starts it with everything
	// that a job needs. If empty, Check starts nothing.
	Probe []string

	Log      *slog.Logger
	LogLimit *logs.Limit
	Table    *process.Table
}

// maxArgument is the longest single argument that Linux accepts (MAX_ARG_STRLEN, 32 pages), less
// the NUL at its end.
const maxArgument = 32*4096 - 1

// Handler runs jobs as processes.
type Handler struct {
	opts Options
	path string
	env  []string

	mu   sync.Mutex
	idle []*run // run states with their epoll sets, for reuse
}

// New looks the command up, so that a missing one is an error at the start and not of every job.
func New(opts Options) (*Handler, error) {
	if len(opts.Command) == 0 {
		return nil, fmt.Errorf(
			"exec: no command given; write it after --, as in: gearman-worker exec --function resize -- /app/resize",
		)
	}
	path, err := LookPath(opts.Command[0], opts.Dir)
	if err != nil {
		return nil, err
	}
	return &Handler{opts: opts, path: path, env: process.JobEnvironment(os.Environ())}, nil
}

// LookPath finds a program as a shell would. If it can't, its error says what to change. A relative
// path starts at dir.
func LookPath(name, dir string) (string, error) {
	if dir != "" && !filepath.IsAbs(name) && filepath.Base(name) != name {
		name = filepath.Join(dir, name)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf(
			"command %q can't be run: %w; give the path of an executable file of this container, or a name found in PATH",
			name, err,
		)
	}
	// The command may run in another directory.
	if path, err = filepath.Abs(path); err != nil {
		return "", fmt.Errorf("command %q can't be run: %w", name, err)
	}
	return path, nil
}

// Handle runs one job to its end.
func (h *Handler) Handle(ctx context.Context, j *job.Job) job.Outcome {
	r, err := h.get()
	if err != nil {
		return job.NeverRan(job.StartFailed, "%v", err)
	}
	defer h.put(r)
	return r.handle(ctx, j)
}

// Check reports whether a job could be started now: the program exists, and another one can be
// started with the descriptors that a job needs.
func (h *Handler) Check(ctx context.Context) error {
	if _, err := LookPath(h.opts.Command[0], h.opts.Dir); err != nil {
		return err
	}
	r, err := h.get()
	if err != nil {
		return err
	}
	defer h.put(r)
	return r.probe(ctx)
}

// Close frees what the handler keeps between jobs. No job may be running.
func (h *Handler) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.idle {
		r.events.Close()
	}
	h.idle = nil
	return nil
}

func (h *Handler) get() (*run, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.idle); n > 0 {
		r := h.idle[n-1]
		h.idle = h.idle[:n-1]
		return r, nil
	}
	return newRun(h)
}

func (h *Handler) put(r *run) {
	r.job = nil
	h.mu.Lock()
	defer h.mu.Unlock()
	h.idle = append(h.idle, r)
}
