package streammode

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/frame"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/logs"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
)

// child is one process of the pool.
type child struct {
	pool *Pool
	proc *process.Process
	mark string // in the environment of all processes that it starts

	in  *os.File // to descriptor 3
	out *os.File // from descriptor 4
	br  *bufio.Reader
	buf []byte // the header being written
	id  uint64 // of the last job or ping

	written int64 // bytes of the last job that went into the pipe

	events  *process.Events
	printed [2]int // read ends of standard output and standard error; -1 when closed

	exited chan struct{}  // closed when the process has ended
	logged chan struct{}  // closed when nothing more of it will be logged
	gone   chan struct{}  // closed when it is reaped and its descriptors are closed
	retire chan string    // why the process must be replaced, at most one
	status process.Status // set before gone is closed

	generation int
	maxJobs    int // 0: no limit
	expires    time.Time

	// Guarded by the pool's lock.
	jobs     int    // done so far
	leave    string // why it must leave after its job, or empty
	lastUsed time.Time

	job atomic.Pointer[job.Job] // the running job, for the log
}

// start starts a process and the goroutine that logs what it prints.
func (p *Pool) start() (*child, error) {
	c := &child{
		pool: p, printed: [2]int{-1, -1}, mark: process.NewMark(),
		exited: make(chan struct{}), logged: make(chan struct{}), gone: make(chan struct{}),
		retire:     make(chan string, 1),
		generation: p.generation(), lastUsed: time.Now(),
	}
	var opened []int
	fail := func(err error) (*child, error) {
		for _, fd := range opened {
			unix.Close(fd)
		}
		return nil, err
	}
	pipe := func() (r, w int) {
		r, w, err := process.Pipe()
		if err == nil {
			opened = append(opened, r, w)
		}
		return r, w
	}
	inR, inW := pipe()
	outR, outW := pipe()
	stdoutR, stdoutW := pipe()
	stderrR, stderrW := pipe()
	if len(opened) < 8 {
		return fail(errors.New("start the command: no more pipes (too many open files)"))
	}
	events, err := process.NewEvents()
	if err != nil {
		return fail(fmt.Errorf("start the command: %w", err))
	}
	c.proc, err = p.opts.Table.Start(&process.Spec{
		Path: p.path, Args: p.opts.Command, Dir: p.opts.Dir, Env: append(p.env[:len(p.env):len(p.env)], c.mark),
		Files: []uintptr{p.null.Fd(), uintptr(stdoutW), uintptr(stderrW), uintptr(inR), uintptr(outW)},
	})
	if err != nil {
		events.Close()
		return fail(err)
	}
	for _, fd := range []int{inR, outW, stdoutW, stderrW} {
		unix.Close(fd)
	}
	// os.NewFile puts non-blocking descriptors into the runtime's poller, which gives them
	// deadlines.
	_ = unix.SetNonblock(inW, true)
	_ = unix.SetNonblock(outR, true)
	c.in, c.out = os.NewFile(uintptr(inW), "descriptor 3"), os.NewFile(uintptr(outR), "descriptor 4")
	c.br = bufio.NewReaderSize(c.out, frame.MaxHeader)
	c.events, c.printed = events, [2]int{stdoutR, stderrR}
	c.draw(time.Now())
	var watchErr error
	for _, fd := range []int{stdoutR, stderrR, c.proc.ExitFD()} {
		watchErr = errors.Join(watchErr, events.Add(fd))
	}
	p.wg.Go(c.logOutput)
	if watchErr != nil {
		c.end(true)
		return nil, fmt.Errorf("start the command: %w", watchErr)
	}
	return c, nil
}

// draw sets the limits of this process, each up to a tenth below the configured value.
func (c *child) draw(now time.Time) {
	o := &c.pool.opts
	if o.MaxJobs > 0 {
		c.maxJobs = o.MaxJobs - int(c.pool.random()*float64(o.MaxJobs)/10)
	}
	if o.MaxLifetime > 0 {
		c.expires = now.Add(o.MaxLifetime - time.Duration(c.pool.random()*float64(o.MaxLifetime)/10))
	}
}

// handshake waits until the process reports that it is ready.
func (c *child) handshake(ctx context.Context) error {
	_ = c.out.SetReadDeadline(time.Now().Add(c.pool.timing.Handshake))
	stop := context.AfterFunc(ctx, func() { _ = c.out.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.in.Write(frame.AppendHello(nil, c.pool.opts.Functions)); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	h, err := frame.ReadHeader(c.br)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("handshake: no answer on descriptor 4 within %v", c.pool.timing.Handshake)
	case err != nil:
		return fmt.Errorf("handshake: %w", err)
	case h.Type != "ready" || h.Bytes != 0:
		return fmt.Errorf("handshake: %w: the first message is %q, not ready", frame.ErrGarbage, h.Type)
	case h.Version != frame.Version:
		return fmt.Errorf(
			"handshake: the process speaks version %d of the protocol, this worker version %d", h.Version,
			frame.Version,
		)
	}
	c.clearDeadline()
	return nil
}

// clearDeadline lets reads of descriptor 4 wait, unless the process has ended: then they read only
// what it left in the pipe.
func (c *child) clearDeadline() {
	_ = c.out.SetReadDeadline(time.Time{})
	select {
	case <-c.exited:
		_ = c.out.SetReadDeadline(time.Now().Add(c.pool.timing.OutputGrace))
	default:
	}
}

// nextID draws the id of the next message. It can't be guessed, so that no job can leave an answer
// to a later one behind. It has at most 53 bits, which JSON readers that store numbers as floating
// point keep.
func (c *child) nextID() {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	c.id = 1 + binary.LittleEndian.Uint64(b[:])%(1<<53-1)
}

// ping checks whether the idle process still answers.
func (c *child) ping() error {
	c.nextID()
	_ = c.out.SetReadDeadline(time.Now().Add(c.pool.timing.Pong))
	if _, err := c.in.Write(frame.AppendPing(nil, c.id)); err != nil {
		return err
	}
	h, err := frame.ReadHeader(c.br)
	if err != nil {
		return err
	}
	if h.Type != "pong" || h.ID != c.id || h.Bytes != 0 {
		return fmt.Errorf("%w: %q answers a ping", frame.ErrGarbage, h.Type)
	}
	c.clearDeadline()
	return nil
}

// end ends the process and frees everything that belongs to it. Unless atOnce is set, the end of
// descriptor 3 first tells the process that there are no more jobs.
func (c *child) end(atOnce bool) process.Status {
	_ = c.in.Close()
	wait := func() bool {
		timer := time.NewTimer(c.pool.opts.KillAfter)
		defer timer.Stop()
		select {
		case <-c.exited:
			return true
		case <-timer.C:
			return false
		}
	}
	if atOnce || !wait() {
		c.proc.Signal(syscall.SIGTERM)
		c.proc.Signal(syscall.SIGCONT) // a stopped process would not see it
		if !wait() {
			c.proc.Signal(syscall.SIGKILL)
			<-c.exited
		}
	}
	<-c.logged
	c.status = c.proc.Reap()
	if atOnce {
		process.KillMarked(c.mark) // a job was in it that may run elsewhere now
	}
	_ = c.out.Close()
	_ = c.events.Close()
	close(c.gone)
	return c.status
}

// logOutput logs what the process prints and records its end.
func (c *child) logOutput() {
	defer close(c.logged)
	var lines [2]logs.Lines
	for i, name := range []string{"stdout", "stderr"} {
		lines[i] = logs.Lines{Max: 16 << 10, Line: func(line []byte) { c.logLine(name, line) }}
	}
	buf := make([]byte, 4<<10)
	var ready []int
	exited := false
	for c.printed[0] >= 0 || c.printed[1] >= 0 || !exited {
		var err error
		if ready, err = c.events.Wait(ready[:0]); err != nil {
			break // the grace for output is over
		}
		for _, fd := range ready {
			if fd == c.proc.ExitFD() {
				exited = true
				c.events.Remove(fd)
				c.events.SetDeadline(time.Now().Add(c.pool.timing.OutputGrace))
				// The answer to a job may still be in the pipe, but nothing more will come.
				// clearDeadline relies on this order.
				close(c.exited)
				_ = c.out.SetReadDeadline(time.Now().Add(c.pool.timing.OutputGrace))
				continue
			}
			for i := range c.printed {
				if c.printed[i] != fd {
					continue
				}
				n, err := unix.Read(fd, buf)
				if err == unix.EINTR {
					continue
				}
				if n <= 0 {
					c.events.Remove(fd)
					unix.Close(fd)
					c.printed[i] = -1
					continue
				}
				lines[i].Add(buf[:n])
			}
		}
	}
	if !exited { // the epoll set failed
		c.proc.AwaitExit()
		close(c.exited)
	}
	for i := range c.printed {
		lines[i].Flush()
		if c.printed[i] >= 0 {
			c.events.Remove(c.printed[i])
			unix.Close(c.printed[i])
		}
	}
}

func (c *child) logLine(stream string, line []byte) {
	if len(line) == 0 {
		return
	}
	attrs := []slog.Attr{slog.String("stream", stream), slog.Int("pid", c.proc.Pid)}
	if j := c.job.Load(); j != nil {
		attrs = append(attrs, slog.String("function", j.Function), slog.String("handle", j.Handle))
	}
	c.pool.opts.LogLimit.Log(context.Background(), c.pool.opts.Log, slog.LevelInfo, string(line), attrs...)
}
