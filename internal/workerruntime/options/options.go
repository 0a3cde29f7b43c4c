package options

import (
	"log/slog"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
)

// Options is what one worker process does, checked and complete.
type Options struct {
	Servers     []string
	MaxServers  int
	Concurrency int

	ExitAfterJobs int  // 0: no limit
	UntilEmpty    bool // stop when there are no jobs

	DrainTimeout time.Duration // 0: wait for running jobs for ever
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

	// OnReady, if not nil, is called once, when the worker has registered with a job server. It is
	// no option of the program's.
	OnReady func()

	// Handlers are the functions with what runs their jobs; one for exec, stream and http, any
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

	JobTimeout time.Duration // 0: none
	OnCrash    job.CrashPolicy
	Exceptions bool // a failed job ends with WORK_EXCEPTION
	// FailureWarnings sends the reason of a failure as WORK_WARNING before WORK_FAIL.
	FailureWarnings bool
	MaxResult       int64 // bytes
	KillAfter       time.Duration
	Dir             string

	FunctionConcurrency int // jobs of one function at once; 0: no limit but Options.Concurrency

	RetryAttempts      int // runs of a job that fails, in all; 1: a failure is final
	RetryBackoff       time.Duration
	RetryMaxBackoff    time.Duration
	RetryTimeouts      bool
	DeadLetterFunction string // empty: none

	FailingAfter int // failed jobs in a row that slow the worker down; 0: never

	StreamOutput       bool // exec
	WorkloadAsArgument bool // exec

	MaxJobs     int           // stream; 0: no limit
	MaxMemory   int64         // stream, bytes; 0: no limit
	MaxLifetime time.Duration // stream; 0: no limit
	Watch       []string      // stream: files whose change replaces the processes
	PingEvery   time.Duration // stream; 0: never

	Headers []string // http, "Name: value"
}

// Setting is one effective value for people to read.
type Setting struct {
	// Handler is the number of the handler that it belongs to, from 1, or 0.
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
