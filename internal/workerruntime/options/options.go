package options

import (
	"log/slog"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
)

// Options is the complete and validated configuration of one worker process.
type Options struct {
	Servers     []string
	MaxServers  int
	Concurrency int

	ExitAfterJobs int  // 0: no limit
	UntilEmpty    bool // stop when there are no jobs

	DrainTimeout time.Duration // 0: wait for running jobs without a limit
	Listen       string        // empty: no HTTP endpoints

	MaxWorkload int64  // bytes; 0: no limit
	JournalDir  string // empty: no journal
	SpoolDir    string
	SpoolAbove  int64 // bytes

	TLS           bool
	TLSCA         string
	TLSCert       string
	TLSKey        string
	TLSServerName string

	LogFormat string // json or text
	LogLevel  slog.Level
	LogRate   float64 // lines a second of the commands' output; 0: no limit

	Check bool

	PodUID  string
	PodName string

	// OnReady, if not nil, is called once, when the worker has registered with a job server. It
	// can't be set as an option of the program.
	OnReady func()

	// Handlers are the functions with what runs their jobs: one for exec, stream and http, any
	// number from a file.
	Handlers []Handler

	// Settings are the effective values with their sources, for --check.
	Settings []Setting
}

// Handler runs the jobs of some functions.
type Handler struct {
	Functions []string
	Mode      Mode
	Command   []string // exec and stream
	URL       string   // http

	JobTimeout time.Duration // 0: no limit
	OnCrash    job.CrashPolicy
	Exceptions bool // a failed job ends with WORK_EXCEPTION
	// FailureWarnings sends the reason of a failure as WORK_WARNING before WORK_FAIL.
	FailureWarnings bool
	MaxResult       int64 // bytes
	KillAfter       time.Duration
	Dir             string

	FunctionConcurrency int // jobs of one function at once; 0: limited only by Options.Concurrency

	RetryAttempts      int // how often a failing job runs in total; 1: a failure is final
	RetryBackoff       time.Duration
	RetryMaxBackoff    time.Duration
	RetryTimeouts      bool
	DeadLetterFunction string // empty: none

	FailingAfter int // consecutive failed jobs that slow the worker down; 0: never

	StreamOutput       bool // exec
	WorkloadAsArgument bool // exec

	MaxJobs     int           // stream; 0: no limit
	MaxMemory   int64         // stream, bytes; 0: no limit
	MaxLifetime time.Duration // stream; 0: no limit
	Watch       []string      // stream: files whose change replaces the processes
	PingEvery   time.Duration // stream; 0: never

	Headers []string // http, "Name: value"
}

// Setting is one effective value in a form for people.
type Setting struct {
	// Handler is the number of the handler that the setting belongs to, from 1, or 0 if it belongs
	// to none.
	Handler int
	Name    string
	Value   string
	Source  string
}

// FunctionNames lists the functions of all handlers.
func (o *Options) FunctionNames() []string {
	var names []string
	for _, h := range o.Handlers {
		names = append(names, h.Functions...)
	}
	return names
}
