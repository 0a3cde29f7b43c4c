package execmode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/logs"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
)

const (
	maxLogLine = 16 << 10 // bytes; a longer line of standard error is logged in pieces
	maxNote    = 64 << 10 // bytes; of a line on descriptor 3, longer data and warnings are sent in several packets
	tailBytes  = 4 << 10  // how much of standard error goes to the client of a failed job
)

// run is the state of one job. It is reused for another job when the job has ended.
type run struct {
	h      *Handler
	events *process.Events
	ready  []int
	buf    []byte

	job      *job.Job
	proc     *process.Process
	pipes    [3]int // read ends of standard output, standard error and descriptor 3; -1 when closed
	writers  [3]int // their other ends
	watching bool   // the pipes are in the set
	input    input  // what is still to be written to standard input
	result   spool.Buffer
	broken   error  // why the rest of the output can't be kept
	unread   error  // why the workload could not be written
	mark     string // in the environment of all processes of the job
	wrote    bool   // there was something on standard output
	began    time.Time
	yielded  time.Time // when the slot last yielded to other goroutines
	stderr   logs.Lines
	tail     logs.Tail
	notes    noteReader
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
	r := &run{
		h: h, events: events, buf: make([]byte, 64<<10), pipes: [3]int{-1, -1, -1}, writers: [3]int{-1, -1, -1},
		input: input{fd: -1},
	}
	r.stderr = logs.Lines{Max: maxLogLine, Line: r.logLine}
	r.tail = logs.Tail{Max: tailBytes}
	r.notes = noteReader{max: maxNote, note: r.note, data: r.noteData}
	return r, nil
}

func (r *run) handle(ctx context.Context, j *job.Job) job.Outcome {
	if ctx.Err() != nil {
		return job.Interrupted(ctx)
	}
	r.job, r.broken, r.unread, r.watching, r.wrote = j, nil, nil, false, false
	r.began, r.mark = time.Now(), process.NewMark()
	r.yield()
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
	if interrupted {
		// The outcome is reported only once nothing of the job runs any more. Otherwise the job
		// could run twice at the same time.
		process.KillMarked(r.mark)
	}
	r.closePipes()
	r.stderr.Flush()
	r.notes.Flush()
	return r.verdict(ctx, interrupted, status)
}

// yieldEvery is how often a slot yields to other goroutines. The runtime assumes that a goroutine
// in system call after system call for 10 ms keeps others from running, and takes its place in the
// scheduler away. The runtime's monitor then wakes every 20 us for a while. That costs 1% of the
// throughput of small jobs, and 4% on a machine that is busy with other things.
const yieldEvery = 4 * time.Millisecond

func (r *run) yield() {
	if r.began.Sub(r.yielded) >= yieldEvery {
		runtime.Gosched()
		r.yielded = r.began
	}
}

// start makes the pipes and the process. Every descriptor made here is closed again if something
// fails.
func (r *run) start() (failed job.Outcome, ok bool) {
	args := r.h.opts.Command
	size := r.job.Size
	if r.h.opts.WorkloadAsArgument {
		var o job.Outcome
		if args, o, ok = r.withArgument(args); !ok {
			return o, false
		}
		size = 0
	}
	neverRan := func(err error) (job.Outcome, bool) {
		r.closePipes()
		return job.NeverRan(job.StartFailed, "%v", err), false
	}
	proc, err := r.startProcess(r.h.path, args, r.environment(), size)
	if errors.Is(err, unix.E2BIG) {
		r.closePipes()
		return job.Rejectf("%v: the arguments and the environment are too large for this machine", err), false
	}
	if err != nil {
		return neverRan(err)
	}
	r.proc = proc
	r.closeWriters()
	r.job.HasStarted()
	return job.Outcome{}, true
}

// startProcess makes the pipes and starts a program that gets size bytes of the workload on
// standard input.
func (r *run) startProcess(path string, args, env []string, size int64) (*process.Process, error) {
	stdin, err := r.input.open(r.job, size)
	if err != nil {
		return nil, err
	}
	defer unix.Close(stdin)
	for i := range r.pipes {
		if r.pipes[i], r.writers[i], err = process.Pipe(); err != nil {
			return nil, err
		}
	}
	return r.h.opts.Table.Start(&process.Spec{
		Path: path, Args: args, Dir: r.h.opts.Dir, Env: env,
		Files: []uintptr{
			uintptr(stdin), uintptr(r.writers[stdout]), uintptr(r.writers[stderr]), uintptr(r.writers[notes]),
		},
	})
}

// probe starts the program that does nothing, and waits for its end.
func (r *run) probe(ctx context.Context) error {
	if len(r.h.opts.Probe) == 0 {
		return nil
	}
	r.watching = false
	defer r.closePipes()
	proc, err := r.startProcess(r.h.opts.Probe[0], r.h.opts.Probe, r.h.env, 0)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { proc.Signal(syscall.SIGKILL) })
	defer stop()
	if status := proc.Reap(); status != (process.Status{}) {
		return fmt.Errorf("start %s as a check: it ended with %v", r.h.opts.Probe[0], status)
	}
	return nil
}

// withArgument appends the workload to the arguments.
func (r *run) withArgument(args []string) (out []string, rejected job.Outcome, ok bool) {
	if r.job.Size > maxArgument {
		return nil, job.Rejectf("workload of %d bytes is too long for an argument (at most %d); leave out --workload-as-argument",
			r.job.Size, maxArgument), false
	}
	workload, err := io.ReadAll(r.job.Workload())
	if err != nil {
		return nil, job.Failf(job.SpoolFailed, "read the workload: %v", err), false
	}
	if i := bytes.IndexByte(workload, 0); i >= 0 {
		return nil, job.Rejectf(
			"the workload has a NUL at byte %d, which no argument can carry; leave out --workload-as-argument", i,
		), false
	}
	if bytes.HasPrefix(workload, []byte{'-'}) && args[len(args)-1] != "--" {
		return nil, job.Rejectf("the workload begins with -, so the command would take it for an option; " +
			"end the command with -- if it takes that, or leave out --workload-as-argument"), false
	}
	return append(args[:len(args):len(args)], string(workload)), rejected, true
}

func (r *run) environment() []string {
	env := r.h.env
	env = append(env[:len(env):len(env)],
		"GEARMAN_FUNCTION="+r.job.Function,
		"GEARMAN_HANDLE="+r.job.Handle,
		"GEARMAN_UNIQUE="+r.job.Unique,
		"GEARMAN_ATTEMPT="+strconv.Itoa(r.job.Attempt),
		r.mark,
		"GEARMAN_WORKLOAD_BYTES="+strconv.FormatInt(r.job.Size, 10))
	return env
}
