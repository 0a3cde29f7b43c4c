package execmode

import (
	"context"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/logs"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
)

const (
	maxLogLine  = 16 << 10 // bytes; a longer line of standard error is logged in pieces
	maxProgress = 64 << 10 // bytes; a longer line on descriptor 3 is cut in pieces
	tailBytes   = 4 << 10  // how much of standard error goes to the client of a failed job
	pipeBytes   = 64 << 10 // what a new pipe holds on Linux, whatever the page size is at least 16 pages of 4 KiB
)

// run is the state of one job, kept for the next one when the job has ended.
type run struct {
	h      *Handler
	events *process.Events
	ready  []int
	buf    []byte

	job      *job.Job
	proc     *process.Process
	pipes    [3]int // read ends of standard output, standard error and descriptor 3; -1 when closed
	writers  [3]int // their other ends
	watching bool   // they are in the set
	result   spool.Buffer
	broken   error // why the rest of the output isn't taken
	stderr   logs.Lines
	tail     logs.Tail
	notes    logs.Lines
}

// The indexes of run.pipes.
const (
	stdout = iota
	stderr
	notes
)

func newRun(h *Handler) (*run, error) {
	events, err := process.NewEvents()
	if err != nil {
		return nil, err
	}
	r := &run{h: h, events: events, buf: make([]byte, 64<<10), pipes: [3]int{-1, -1, -1}, writers: [3]int{-1, -1, -1}}
	r.stderr = logs.Lines{Max: maxLogLine, Line: r.logLine}
	r.tail = logs.Tail{Max: tailBytes}
	r.notes = logs.Lines{Max: maxProgress, Line: r.note}
	return r, nil
}

func (r *run) handle(ctx context.Context, j *job.Job) job.Outcome {
	if ctx.Err() != nil {
		return job.Interrupted(ctx)
	}
	r.job, r.broken, r.watching = j, nil, false
	r.result = spool.Buffer{Limits: r.h.opts.Result}
	r.tail.Reset()
	defer r.result.Discard()
	if o, ok := r.start(); !ok {
		return o
	}
	interrupted := r.follow(ctx)
	if r.watching {
		r.events.Remove(r.proc.ExitFD())
	}
	status := r.proc.Reap()
	r.proc = nil
	r.closePipes()
	r.stderr.Flush()
	r.notes.Flush()
	return r.verdict(ctx, interrupted, status)
}

// start makes the pipes and the process. Every descriptor made here is closed again if something fails.
func (r *run) start() (failed job.Outcome, ok bool) {
	crash := func(err error) (job.Outcome, bool) {
		r.closePipes()
		return r.h.opts.OnCrash.Crash(job.StartFailed, "%v", err), false
	}
	args := r.h.opts.Command
	stdin := int(r.h.null.Fd())
	if r.h.opts.WorkloadAsArgument {
		if r.job.Size > maxArgument {
			return job.Failf(job.Rejected, "workload of %d bytes is too long for an argument (at most %d); leave out --workload-as-argument", r.job.Size, maxArgument), false
		}
		workload, err := io.ReadAll(r.job.Workload())
		if err != nil {
			return job.Failf(job.SpoolFailed, "read the workload: %v", err), false
		}
		args = append(args[:len(args):len(args)], string(workload))
	} else if r.job.Size > 0 {
		fd, closeStdin, err := r.stdin()
		if err != nil {
			return job.Failf(job.SpoolFailed, "hand the workload to the command: %v", err), false
		}
		defer closeStdin()
		stdin = fd
	}

	for i := range r.pipes {
		var fds [2]int
		err := unix.Pipe2(fds[:], unix.O_CLOEXEC)
		if err != nil {
			return crash(os.NewSyscallError("pipe2", err))
		}
		r.pipes[i], r.writers[i] = fds[0], fds[1]
	}
	proc, err := r.h.opts.Table.Start(&process.Spec{
		Path: r.h.path, Args: args, Dir: r.h.opts.Dir, Env: r.environment(),
		Files: []uintptr{uintptr(stdin), uintptr(r.writers[stdout]), uintptr(r.writers[stderr]), uintptr(r.writers[notes])},
	})
	if err != nil {
		return crash(err)
	}
	r.proc = proc
	return job.Outcome{}, true
}

func (r *run) environment() []string {
	env := r.h.env
	return append(env[:len(env):len(env)],
		"GEARMAN_FUNCTION="+r.job.Function,
		"GEARMAN_HANDLE="+r.job.Handle,
		"GEARMAN_UNIQUE="+r.job.Unique,
		"GEARMAN_WORKLOAD_BYTES="+strconv.FormatInt(r.job.Size, 10))
}

// stdin makes a descriptor from which the command reads its workload. Nothing is left to be written once the command runs, so it
// doesn't matter whether it reads: a pipe that holds the whole workload already, or a file.
func (r *run) stdin() (fd int, closeIt func(), err error) {
	if r.job.File != nil {
		if _, err := r.job.File.Seek(0, io.SeekStart); err != nil {
			return -1, nil, err
		}
		return int(r.job.File.Fd()), func() {}, nil
	}
	if r.job.Size <= pipeBytes {
		var fds [2]int
		// Non-blocking, since a user who has too many pipes gets smaller ones: then a file is the way, not a hang.
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			return -1, nil, os.NewSyscallError("pipe2", err)
		}
		if err := unix.SetNonblock(fds[1], true); err == nil {
			n, err := unix.Write(fds[1], r.job.Body)
			if err == nil && n == len(r.job.Body) {
				unix.Close(fds[1])
				return fds[0], func() { unix.Close(fds[0]) }, nil
			}
		}
		unix.Close(fds[0])
		unix.Close(fds[1])
	}
	f, err := memoryFile(r.h.opts.Result.Dir)
	if err != nil {
		return -1, nil, err
	}
	if _, err := f.Write(r.job.Body); err != nil {
		f.Close()
		return -1, nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		f.Close()
		return -1, nil, err
	}
	return int(f.Fd()), func() { f.Close() }, nil
}

// memoryFile is a file in memory, or in the spool directory where a sandbox doesn't offer that.
func memoryFile(dir string) (*os.File, error) {
	fd, err := unix.MemfdCreate("workload", unix.MFD_CLOEXEC)
	if err == nil {
		return os.NewFile(uintptr(fd), "workload"), nil
	}
	return spool.NewFile(dir)
}
