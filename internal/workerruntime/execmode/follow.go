package execmode

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
)

// How far the end of a process has been pressed.
const (
	running = iota
	asked   // SIGTERM was sent
	killed  // SIGKILL was sent
)

// follow takes the output until the process has ended and its pipes are closed. When ctx ends, or the output can't be taken, it
// ends the process. It reports whether it was ctx that ended the job.
func (r *run) follow(ctx context.Context) (interrupted bool) {
	r.events.SetDeadline(time.Time{})
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		r.events.SetDeadline(time.Unix(1, 0))
		close(fired)
	})
	defer func() {
		if !stop() {
			<-fired // or it would set the deadline of the next job
		}
	}()

	state, open, exited := running, len(r.pipes), false
	for open > 0 || !exited {
		var err error
		r.ready, err = r.events.Wait(r.ready[:0])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if exited || state == killed {
				// Either the grace for output is over, or the kernel takes its time to kill: Reap waits for that.
				return interrupted
			}
			if state == running {
				interrupted = true
			}
			state = r.press(state + 1)
			continue
		case err != nil:
			r.broken = err
			r.press(killed)
			return interrupted
		}
		for _, fd := range r.ready {
			if fd == r.proc.ExitFD() {
				exited = true
				r.events.Remove(fd)
				r.events.SetDeadline(time.Now().Add(r.h.opts.OutputGrace))
			} else if !r.read(fd) {
				open--
			}
		}
		if r.broken != nil && !exited && state != killed {
			state = r.press(killed)
		}
	}
	return interrupted
}

// press ends the process, first by asking, and says by when it must be gone.
func (r *run) press(state int) int {
	if state == asked {
		r.proc.Signal(syscall.SIGTERM)
		r.proc.Signal(syscall.SIGCONT) // a stopped process would not see it
	} else {
		r.proc.Signal(syscall.SIGKILL)
	}
	r.events.SetDeadline(time.Now().Add(r.h.opts.KillAfter))
	return state
}

// read takes what a pipe holds now. It closes the pipe at its end and reports false then.
func (r *run) read(fd int) (open bool) {
	var n int
	for {
		var err error
		n, err = unix.Read(fd, r.buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			r.closePipe(fd)
			return false
		}
		break
	}
	switch p := r.buf[:n]; fd {
	case r.pipes[stdout]:
		r.output(p)
	case r.pipes[stderr]:
		r.tail.Add(p)
		r.stderr.Add(p)
	case r.pipes[notes]:
		r.notes.Add(p)
	}
	return true
}

func (r *run) closePipe(fd int) {
	for i, p := range r.pipes {
		if p == fd {
			r.pipes[i] = -1
		}
	}
	// Not left to close: while another process is being started it holds a copy of the descriptor for a moment, and the set
	// would report the old pipe under a number that has a new meaning.
	r.events.Remove(fd)
	unix.Close(fd)
}

func (r *run) closePipes() {
	for _, fd := range r.pipes {
		if fd >= 0 {
			r.closePipe(fd)
		}
	}
}

func (r *run) output(p []byte) {
	if r.broken != nil {
		return
	}
	if r.h.opts.StreamOutput {
		// An error means that the job server is gone and the job with it; the command may still finish what it does.
		_ = r.job.Reporter.Data(p)
		return
	}
	_, r.broken = r.result.Write(p)
}

// verdict turns the end of the process into the end of the job.
func (r *run) verdict(ctx context.Context, interrupted bool, status process.Status) job.Outcome {
	opts := &r.h.opts
	var o job.Outcome
	switch {
	case interrupted:
		o = job.Interrupted(ctx)
	case errors.Is(r.broken, spool.ErrTooLarge):
		o = job.Failf(job.OutputLimit, "%v (--max-result)", r.broken)
	case r.broken != nil:
		o = opts.OnCrash.Crash(job.SpoolFailed, "keep the result: %v", r.broken)
	case status.Signal != 0:
		o = opts.OnCrash.Crash(job.Crashed, "command was %v", status)
	case status.Code != 0:
		o = job.Failf(job.ExitCode, "command ended with %v", status)
	default:
		o = job.Outcome{Kind: job.Completed, Reason: job.OK}
		o.Result, o.ResultFile, o.ResultSize = r.result.Take()
		return o
	}
	o.Detail = append([]byte(nil), r.tail.Bytes()...)
	return o
}

func (r *run) logLine(line []byte) {
	if len(line) == 0 {
		return
	}
	r.h.opts.LogLimit.Log(context.Background(), r.h.opts.Log, slog.LevelInfo, string(line),
		slog.String("stream", "stderr"), slog.String("function", r.job.Function), slog.String("handle", r.job.Handle))
}
