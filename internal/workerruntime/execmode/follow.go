package execmode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
)

// The steps of ending a process.
const (
	running = iota
	asked   // SIGTERM was sent
	killed  // SIGKILL was sent
)

// follow reads the output until the process has ended and its pipes are closed. When ctx ends, or
// the output can't be kept, it ends the process. It reports whether ctx ended the job.
func (r *run) follow(ctx context.Context) (interrupted bool) {
	exited := r.followBriefly(ctx)
	if exited && r.drain() {
		return false
	}
	return r.followOn(ctx, exited)
}

// brief is how long a thread is blocked for a job. Waiting in the runtime's poller instead takes no
// thread, but costs several switches between threads for each event: as much as a small job itself
// costs. The end of ctx is noticed at most this much later.
const brief = 10 * time.Millisecond

// unheard is how long output is left in its pipes. A small job ends before that, and its end is one
// event, instead of one more for each pipe that the command closes. A command that fills a pipe
// (64 KiB) before that waits for the rest of this time.
const unheard = time.Millisecond

// followBriefly reads the output for a short while, and reports whether the process has ended.
func (r *run) followBriefly(ctx context.Context) (exited bool) {
	began := time.Now()
	fds := r.pollFDs()
	for i := range r.pipes {
		fds[i].Fd = -1 // poll ignores it
	}
	hears := false
	for ctx.Err() == nil && r.broken == nil && r.unread == nil {
		passed := time.Since(began)
		left := int((brief - passed) / time.Millisecond)
		switch {
		case left <= 0:
			return false
		case passed < unheard:
			left = int(unheard / time.Millisecond)
		case !hears:
			for i, p := range r.pipes {
				fds[i].Fd = int32(p)
			}
			hears = true
		}
		n, err := unix.Poll(fds[:], left)
		if err != nil && err != unix.EINTR {
			return false // followOn reports the error, if there is one
		}
		for i := 0; n > 0 && i < len(r.pipes); i++ {
			if fds[i].Revents != 0 && !r.read(r.pipes[i]) {
				fds[i].Fd = -1
			}
		}
		if n > 0 && fds[exitAt].Revents != 0 {
			return true
		}
		if n > 0 && fds[inputAt].Revents != 0 {
			r.feed()
			fds[inputAt].Fd = int32(r.input.fd)
		}
	}
	return false
}

// feed writes more of the workload.
func (r *run) feed() {
	if err := r.input.write(); err != nil {
		r.input.close()
		r.unread = fmt.Errorf("read the workload: %w", err)
	}
}

// Indexes of the polled descriptors, after the pipes.
const (
	exitAt = notes + 1 + iota
	inputAt
)

// pollFDs returns the open pipes, the process's end, and its standard input while there is more to
// write.
func (r *run) pollFDs() (fds [inputAt + 1]unix.PollFd) {
	for i, p := range r.pipes {
		fds[i] = unix.PollFd{Fd: int32(p), Events: unix.POLLIN} // poll ignores -1
	}
	fds[exitAt] = unix.PollFd{Fd: int32(r.proc.ExitFD()), Events: unix.POLLIN}
	fds[inputAt] = unix.PollFd{Fd: int32(r.input.fd), Events: unix.POLLOUT}
	return fds
}

// mostStarting is how long a thread is blocked until the processes that are being started have
// closed their copies of a job's pipes. Waiting in the runtime's poller instead costs several
// switches between threads.
const mostStarting = 2 * time.Millisecond

// drain reads what the command left in its pipes when it ended, and reports whether the pipes have
// come to their end. Whatever the command has started may hold a pipe and write on. Each process
// that is being started at the same time also holds one for a moment.
func (r *run) drain() (done bool) {
	until := time.Now().Add(mostStarting)
	for r.open() > 0 {
		left := time.Until(until)
		if left <= 0 {
			return false
		}
		fds := r.pollFDs()
		n, err := unix.Poll(fds[:len(r.pipes)], int(left/time.Millisecond))
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return false
		}
		for i, p := range r.pipes {
			switch {
			case fds[i].Revents&unix.POLLIN != 0:
				r.read(p)
			case fds[i].Revents != 0:
				r.closePipe(p)
			}
		}
	}
	return true
}

func (r *run) open() (n int) {
	for _, p := range r.pipes {
		if p >= 0 {
			n++
		}
	}
	return n
}

// followOn reads the output until the process has ended and its pipes are closed, without a thread.
func (r *run) followOn(ctx context.Context, exited bool) (interrupted bool) {
	r.events.SetDeadline(time.Time{})
	if err := r.watch(exited); err != nil {
		r.broken = err
		r.press(killed)
		return false
	}
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		r.events.SetDeadline(time.Unix(1, 0))
		close(fired)
	})
	defer func() {
		if !stop() {
			<-fired // otherwise it could set the deadline of the next job
		}
	}()

	state := running
	for {
		if exited {
			if r.open() == 0 {
				return interrupted
			}
		} else if (r.broken != nil || r.unread != nil) && state != killed {
			state = r.press(killed)
		}
		var err error
		r.ready, err = r.events.Wait(r.ready[:0])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if exited || state == killed {
				// Either the grace for output is over, or the kernel takes long to kill the
				// process. Reap waits for that.
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
			if fd == r.input.fd {
				r.feed()
				continue
			}
			if fd != r.proc.ExitFD() {
				r.read(fd)
				continue
			}
			exited = true
			r.input.close()
			r.events.Remove(fd)
			r.events.SetDeadline(time.Now().Add(r.h.opts.OutputGrace))
		}
	}
}

// watch adds the pipes and the process's end to the set.
func (r *run) watch(exited bool) error {
	r.watching = true
	if exited {
		r.events.SetDeadline(time.Now().Add(r.h.opts.OutputGrace))
	} else if err := r.events.Add(r.proc.ExitFD()); err != nil {
		return err
	}
	for _, p := range r.pipes {
		if p < 0 {
			continue
		}
		if err := r.events.Add(p); err != nil {
			return err
		}
	}
	if r.input.fd >= 0 && !exited {
		r.input.unwatch = r.events.Remove
		return r.events.AddWriter(r.input.fd)
	}
	return nil
}

// press sends the signal of state to the process, sets the deadline for its end, and returns state.
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

// read reads what a pipe holds now. At the pipe's end it closes it and reports false.
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
		r.wrote = true
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
	if r.watching {
		r.events.Remove(fd) // closing alone does not do it: see input.unwatch
	}
	unix.Close(fd)
}

// closeWriters closes the ends of the pipes that the command writes to. As long as they are open
// here, each process that another slot starts gets a copy of them, and the pipes don't come to
// their end before it has closed that. At the end of every tenth small job one would be waited for.
func (r *run) closeWriters() {
	for i, fd := range r.writers {
		if fd >= 0 {
			unix.Close(fd)
			r.writers[i] = -1
		}
	}
}

func (r *run) closePipes() {
	r.closeWriters()
	r.input.close()
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
		// An error means that the connection to the job server is lost, and the job with it. The
		// command may still finish.
		_ = r.job.Reporter.Data(p)
		return
	}
	_, r.broken = r.result.Write(p)
}

// Exit codes with a meaning of their own.
const (
	codeRejected      = 65  // EX_DATAERR of sysexits.h: no further attempt would succeed
	codeNotExecutable = 126 // a shell's, env's or timeout's: the program cannot be run
	codeNotFound      = 127 // the program is not found
)

// notFoundWithin is how soon a shell that finds no program ends.
const notFoundWithin = time.Second

// verdict turns the end of the process into the job's outcome.
func (r *run) verdict(ctx context.Context, interrupted bool, status process.Status) job.Outcome {
	var o job.Outcome
	switch {
	case interrupted:
		o = job.Interrupted(ctx)
	case errors.Is(r.broken, spool.ErrTooLarge):
		o = job.Failf(job.OutputLimit, "%v (--max-result)", r.broken)
	case r.broken != nil:
		o = job.Crashf(job.SpoolFailed, "keep the result: %v", r.broken)
	case r.unread != nil:
		o = job.Crashf(job.SpoolFailed, "%v", r.unread)
	case status.Signal != 0:
		o = job.Crashf(job.Crashed, "command was %v", status)
		o.Signal = status.Signal
	case status.Code == codeNotExecutable || status.Code == codeNotFound:
		o = job.Failf(job.ExitCode, "command ended with %v", status)
		if !r.wrote && time.Since(r.began) < notFoundWithin {
			o = job.Crashf(job.ExitCode, "command ended with %v: it did not find its program", status)
			o.NotFound = true
		}
	case status.Code == codeRejected:
		o = job.Failf(job.ExitCode, "command ended with %v: the job is rejected", status)
		o.Permanent = true
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
