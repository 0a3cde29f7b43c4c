package streammode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/frame"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
)

// Handle gives one job to a process and waits for the answer.
func (p *Pool) Handle(ctx context.Context, j *job.Job) job.Outcome {
	for try := 1; ; try++ {
		c, err := p.take(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return job.Interrupted(ctx)
			}
			return job.NeverRan(job.StartFailed, "%v", err)
		}
		if c.hasSpoken() {
			// Whatever the process sends now belongs to no job: it must not become the answer to
			// this one.
			p.opts.Log.LogAttrs(
				ctx, slog.LevelWarn, "Process sent something between two jobs and is replaced",
				slog.Int("pid", c.proc.Pid),
			)
			c.retire <- whyBroken
			try--
			continue
		}
		c.job.Store(j)
		j.HasStarted()
		o, err := c.do(ctx, j)
		c.job.Store(nil)
		if err == nil {
			p.release(c)
			return o
		}
		untouched := c.untouched()
		c.retire <- whyBroken
		// The outcome is reported only once nothing of the job runs any more. Otherwise the job
		// could run twice at the same time.
		<-c.gone
		switch {
		case ctx.Err() != nil:
			return job.Interrupted(ctx)
		case untouched && try < maxTries:
			continue // it ended between two jobs
		case errors.Is(err, spool.ErrTooLarge):
			return job.Failf(job.OutputLimit, "%v (--max-result)", err)
		case errors.Is(err, spool.ErrDisk):
			return job.Crashf(job.SpoolFailed, "%v", err)
		}
		o = job.Crashf(job.Crashed, "%v (%v)", err, c.status)
		o.Signal = c.status.Signal
		return o
	}
}

// maxTries is how many consecutive processes may end before they have read a byte of a job.
const maxTries = 3

// hasSpoken reports whether the process has sent something that no job has asked for.
func (c *child) hasSpoken() bool {
	if c.br.Buffered() > 0 {
		return true
	}
	raw, err := c.out.SyscallConn()
	if err != nil {
		return false
	}
	unread := 0
	_ = raw.Control(func(fd uintptr) { unread, err = process.Unread(fd) })
	return err == nil && unread > 0
}

// untouched reports whether everything that was written of the job is still in the pipe. Then the
// process can't have begun with the job, and another one may have it.
func (c *child) untouched() bool {
	raw, err := c.in.SyscallConn()
	if err != nil {
		return false
	}
	unread := -1
	if raw.Control(func(fd uintptr) { unread, err = process.Unread(fd) }) != nil || err != nil {
		return false
	}
	return int64(unread) == c.written
}

// release returns a process to the pool after a job, or to its keeper if it must be replaced.
func (p *Pool) release(c *child) {
	large := p.opts.MaxMemory > 0 && c.memory() > p.opts.MaxMemory
	p.mu.Lock()
	defer p.mu.Unlock()
	c.jobs++
	switch {
	case large:
		c.retire <- "max-memory"
	case c.leave != "":
		c.retire <- c.leave
	case c.maxJobs > 0 && c.jobs >= c.maxJobs:
		c.retire <- "max-jobs"
	default:
		p.putLocked(c)
	}
}

// memory returns the resident memory of the process in bytes, or 0 if it has ended.
func (c *child) memory() int64 {
	size, err := process.Resident(c.proc.Pid)
	if err != nil {
		return 0
	}
	return size
}

// inPipe is how much a process's empty pipe holds in any case. More is written while the answer is
// read, since the process may answer while it reads.
const inPipe = 16 << 10

// do sends a job and reads its answer. After an error the process can't be used any more.
func (c *child) do(ctx context.Context, j *job.Job) (job.Outcome, error) {
	stop := context.AfterFunc(ctx, func() {
		_ = c.out.SetReadDeadline(time.Unix(1, 0))
		_ = c.in.SetWriteDeadline(time.Unix(1, 0))
	})
	interrupted := func() bool { return !stop() }
	c.nextID()
	c.buf = frame.AppendJob(c.buf[:0], c.id, j)
	var written chan error
	if j.File == nil && len(c.buf)+len(j.Body) <= inPipe {
		c.buf = append(c.buf, j.Body...)
		n, err := c.in.Write(c.buf)
		c.written = int64(n)
		if err != nil {
			interrupted()
			return job.Outcome{}, fmt.Errorf("write to descriptor 3: %w", err)
		}
	} else {
		written = make(chan error, 1)
		go func() { written <- c.write(j) }()
	}
	o, err := frame.ReadAnswer(c.br, c.id, c.pool.opts.Result, j.Reporter)
	if written != nil {
		// A process that has answered must have read its whole job. Otherwise the rest would be
		// taken for the next job.
		if err != nil {
			_ = c.in.SetWriteDeadline(time.Unix(1, 0))
		} else {
			_ = c.in.SetWriteDeadline(time.Now().Add(c.pool.timing.Pong))
		}
		werr := <-written
		if err == nil && werr != nil {
			err = fmt.Errorf("write to descriptor 3: %w", werr)
		}
		if err == nil {
			_ = c.in.SetWriteDeadline(time.Time{})
		}
	}
	if interrupted() && err == nil {
		// The answer came just in time, but the deadlines of this process can't be used any more.
		err = os.ErrDeadlineExceeded
	}
	if err != nil && o.ResultFile != nil {
		o.ResultFile.Close()
		o.ResultFile = nil
	}
	return o, err
}

func (c *child) write(j *job.Job) error {
	n, err := c.in.Write(c.buf)
	c.written = int64(n)
	if err != nil {
		return err
	}
	body, err := io.Copy(c.in, j.Workload())
	c.written += body
	return err
}
