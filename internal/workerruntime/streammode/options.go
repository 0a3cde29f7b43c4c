package streammode

import (
	"log/slog"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/logs"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
)

// Options are how the processes are kept.
type Options struct {
	// Command is the program and its arguments.
	Command []string
	// Functions are the functions of the jobs that the processes get. The processes receive the
	// list at their start.
	Functions []string
	// Dir is the working directory of the command; empty: the worker's own.
	Dir string
	// Size is the number of processes.
	Size int
	// MaxJobs replaces a process after this many jobs, MaxLifetime after this much time; 0: never.
	// Each process draws up to a tenth less, so that they are not all replaced at once.
	MaxJobs     int
	MaxLifetime time.Duration
	// MaxMemory replaces a process that uses more than this many bytes of memory (resident) after a
	// job; 0: never.
	MaxMemory int64
	// PingEvery is how often an idle process is checked for an answer; 0: never.
	PingEvery time.Duration
	// Watch names files and directories whose change replaces the processes.
	Watch []string
	// KillAfter is how long a process may take to end after each request: first the end of
	// descriptor 3, then SIGTERM. After that it gets SIGKILL.
	KillAfter time.Duration
	// Result bounds a result, and sets where a large one is kept.
	Result spool.Limits

	Log      *slog.Logger
	LogLimit *logs.Limit // of the processes' lines
	Table    *process.Table

	// Timing is for tests; zero fields get the defaults.
	Timing Timing
}

// Timing has the waits that users don't set.
type Timing struct {
	// Handshake is how long a process may take from its start to its first answer.
	Handshake time.Duration
	// Pong is how long an idle process may take to answer a ping.
	Pong time.Duration
	// Backoff is the wait after the first failed start. It doubles after each further one, up to
	// MaxBackoff.
	Backoff, MaxBackoff time.Duration
	// Take is how long a job waits for a process before it is handled as a crash.
	Take time.Duration
	// OutputGrace is how long output is still read after a process has ended while something that
	// it started holds a pipe.
	OutputGrace time.Duration
	// WatchEvery is the period at which watched files are checked.
	WatchEvery time.Duration
	// Starts is how many consecutive times the first start may fail before Run gives up.
	Starts int
}

func (t Timing) withDefaults() Timing {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&t.Handshake, time.Minute)
	set(&t.Pong, 10*time.Second)
	set(&t.Backoff, 200*time.Millisecond)
	set(&t.MaxBackoff, 30*time.Second)
	set(&t.Take, time.Minute)
	set(&t.OutputGrace, 250*time.Millisecond)
	set(&t.WatchEvery, 2*time.Second)
	if t.Starts == 0 {
		t.Starts = 3
	}
	return t
}

func (t *Timing) backoff() gearman.Backoff { return gearman.Backoff{Min: t.Backoff, Max: t.MaxBackoff} }
