package options

import (
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
)

// Kind is how an option's value is written.
type Kind string

// The kinds of option.
const (
	Text     Kind = "text"
	Int      Kind = "number"
	Bool     Kind = "true|false"
	Duration Kind = "duration" // 90s, 5m, 1h30m
	Size     Kind = "size"     // bytes, or with Ki, Mi, Gi
	List     Kind = "list"     // repeated, or with commas
	Words    Kind = "names"    // repeated; separated by white space in the environment
	Lines    Kind = "lines"    // repeated; one a line in the environment
)

// An Option is one setting. It has the same name everywhere.
type Option struct {
	Name    string
	Kind    Kind
	Default string
	Values  []string // if set, the only valid values
	Modes   []Mode   // the modes that it applies to; empty: all
	Group   string
	Help    string

	set        func(*Options, value) error // an option of the whole worker
	setHandler func(*Handler, value) error // an option that each handler of a file may set for itself
}

// PerHandler reports whether each handler of a file may set the option for itself.
func (o *Option) PerHandler() bool { return o.setHandler != nil }

// Env returns the option's environment variable.
func (o *Option) Env() string { return envName(o.Name) }

func crashPolicy(h *Handler, v value) error {
	h.OnCrash = job.CrashPolicy(v.text())
	return nil
}

// Table lists all options in the order of the help.
var Table = []Option{
	{
		Name: "server", Kind: List, Default: "127.0.0.1:4730", Group: "Jobs",
		Help: "job server, host or host:port (4730); IPv6 in brackets. All addresses of a name are used, each as a job server of its own",
		set:  func(o *Options, v value) error { return v.servers(&o.Servers) },
	},
	{
		Name: "max-job-servers", Kind: Int, Default: "256", Group: "Jobs",
		Help: "how many job servers are used at most: addresses first, then names in their order, and up to 64 addresses of a name. The operator counts the same ones",
		set:  func(o *Options, v value) error { return v.number(&o.MaxServers, 1, 10000) },
	},
	{
		Name: "function", Kind: Words, Group: "Jobs",
		Help:       "function whose jobs this worker takes",
		setHandler: func(h *Handler, v value) error { return v.functions(&h.Functions) },
	},
	{
		Name: "concurrency", Kind: Int, Default: "1", Group: "Jobs",
		Help: "jobs run at the same time, over all functions and job servers",
		set:  func(o *Options, v value) error { return v.number(&o.Concurrency, 1, 10000) },
	},
	{
		Name: "function-concurrency", Kind: Int, Default: "0", Group: "Jobs",
		Help:       "how many jobs of one function run at once at most; only this many of the worker's slots then take its jobs; 0: as many as --concurrency",
		setHandler: func(h *Handler, v value) error { return v.number(&h.FunctionConcurrency, 0, 10000) },
	},
	{
		Name: "exit-after-jobs", Kind: Int, Default: "0", Group: "Jobs",
		Help: "stop after this many jobs, and take no more than these; requeued jobs don't count; 0: never",
		set:  func(o *Options, v value) error { return v.number(&o.ExitAfterJobs, 0, 1<<30) },
	},
	{
		Name: "until-empty", Kind: Bool, Default: "false", Group: "Jobs",
		Help: "stop once no job runs and no job server has one that is due; a job server that can't be reached is waited for",
		set:  func(o *Options, v value) error { return v.boolean(&o.UntilEmpty) },
	},
	{
		Name: "job-timeout", Kind: Duration, Default: "0s", Group: "Jobs",
		Help:       "a job that runs for longer fails; 0: no limit",
		setHandler: func(h *Handler, v value) error { return v.duration(&h.JobTimeout) },
	},
	{
		Name: "on-crash", Kind: Text, Default: string(job.CrashRequeue),
		Values: []string{string(job.CrashFail), string(job.CrashRequeue)}, Group: "Jobs",
		Help: "what becomes of a job whose process was killed or broke the protocol: requeue runs it again, up to 3 times in all, or as often as " +
			"--retry-attempts says; fail does not",
		setHandler: crashPolicy,
	},
	{
		Name: "retry-attempts", Kind: Int, Default: "1", Group: "Retries",
		Help:       "how often a job runs in all if it fails, 1 to 20; 1: a failure is final. Not for jobs whose clients wait",
		setHandler: func(h *Handler, v value) error { return v.number(&h.RetryAttempts, 1, 20) },
	},
	{
		Name: "retry-backoff", Kind: Duration, Default: "10s", Group: "Retries",
		Help:       "wait before the second attempt, doubled with each further one, a fifth more or less at random",
		setHandler: func(h *Handler, v value) error { return v.duration(&h.RetryBackoff) },
	},
	{
		Name: "retry-max-backoff", Kind: Duration, Default: "10m", Group: "Retries",
		Help:       "longest wait between two attempts",
		setHandler: func(h *Handler, v value) error { return v.duration(&h.RetryMaxBackoff) },
	},
	{
		Name: "retry-timeouts", Kind: Bool, Default: "false", Group: "Retries",
		Help:       "try a job again that ran for longer than --job-timeout",
		setHandler: func(h *Handler, v value) error { return v.boolean(&h.RetryTimeouts) },
	},
	{
		Name: "dead-letter-function", Kind: Text, Group: "Retries",
		Help:       "function that gets jobs which have failed for good, with the reason; not those whose clients wait; empty: none",
		setHandler: func(h *Handler, v value) error { h.DeadLetterFunction = v.text(); return nil },
	},
	{
		Name: "journal-dir", Kind: Text, Group: "Retries",
		Help: "directory in which the worker records its running jobs, so that a job which kills the worker itself is counted when the worker starts again; " +
			"it must outlive the worker; empty: these runs are not counted",
		set: func(o *Options, v value) error { o.JournalDir = v.text(); return nil },
	},
	{
		Name: "failing-after", Kind: Int, Default: "20", Group: "Jobs",
		Help:       "after this many failed jobs in a row the worker takes one job a second until one completes; 0: never",
		setHandler: func(h *Handler, v value) error { return v.number(&h.FailingAfter, 0, 1<<30) },
	},
	{
		Name: "exceptions", Kind: Bool, Default: "false", Group: "Jobs",
		Help: "send the reason of a failure to clients that asked for exceptions. Don't set it if the gearman command or another libgearman " +
			"client that didn't ask waits for such a job: gearmand 1.1.20 garbles that packet, and the client waits forever",
		setHandler: func(h *Handler, v value) error { return v.boolean(&h.Exceptions) },
	},
	{
		Name: "failure-warnings", Kind: Bool, Default: "false", Group: "Jobs",
		Help: "send the reason of a failure as a warning before the failure, to clients that wait. Safe with libgearman's clients " +
			"(the gearman command, PHP's extension), not with Net_Gearman, which knows no warnings. --exceptions takes precedence",
		setHandler: func(h *Handler, v value) error { return v.boolean(&h.FailureWarnings) },
	},

	{
		Name: "drain-timeout", Kind: Duration, Default: "0s", Group: "Stopping",
		Help: "how long running jobs may take after SIGTERM before they are stopped and requeued; 0: as long as they need",
		set:  func(o *Options, v value) error { return v.duration(&o.DrainTimeout) },
	},
	{
		Name: "kill-after", Kind: Duration, Default: "5s", Modes: []Mode{Exec, Stream}, Group: "Stopping",
		Help:       "time between SIGTERM and SIGKILL when a process is stopped",
		setHandler: func(h *Handler, v value) error { return v.duration(&h.KillAfter) },
	},

	{
		Name: "dir", Kind: Text, Modes: []Mode{Exec, Stream}, Group: "Commands",
		Help:       "working directory of the command; empty: the worker's own",
		setHandler: func(h *Handler, v value) error { h.Dir = v.text(); return nil },
	},
	{
		Name: "stream-output", Kind: Bool, Default: "false", Modes: []Mode{Exec}, Group: "Commands",
		Help:       "send standard output to the client as it comes (WORK_DATA) and end with an empty result",
		setHandler: func(h *Handler, v value) error { return v.boolean(&h.StreamOutput) },
	},
	{
		Name: "workload-as-argument", Kind: Bool, Default: "false", Modes: []Mode{Exec}, Group: "Commands",
		Help:       "append the workload to the command's arguments instead of writing it to standard input",
		setHandler: func(h *Handler, v value) error { return v.boolean(&h.WorkloadAsArgument) },
	},
	{
		Name: "stream-max-jobs", Kind: Int, Default: "0", Modes: []Mode{Stream}, Group: "Commands",
		Help:       "replace a process after this many jobs (some after a few less, so that not all are replaced at once); 0: never",
		setHandler: func(h *Handler, v value) error { return v.number(&h.MaxJobs, 0, 1<<30) },
	},
	{
		Name: "max-memory", Kind: Size, Default: "0", Modes: []Mode{Stream}, Group: "Commands",
		Help:       "replace a process that takes more memory than this (resident, without the processes that it has started) after its job; 0: never",
		setHandler: func(h *Handler, v value) error { return v.size(&h.MaxMemory, 0) },
	},
	{
		Name: "max-lifetime", Kind: Duration, Default: "0s", Modes: []Mode{Stream}, Group: "Commands",
		Help:       "replace a process after this time, between jobs; 0: never",
		setHandler: func(h *Handler, v value) error { return v.duration(&h.MaxLifetime) },
	},
	{
		Name: "ping-every", Kind: Duration, Default: "30s", Modes: []Mode{Stream}, Group: "Commands",
		Help:       "time between checks that an idle process still answers; one that doesn't is replaced; 0: never",
		setHandler: func(h *Handler, v value) error { return v.duration(&h.PingEvery) },
	},
	{
		Name: "watch", Kind: Lines, Modes: []Mode{Stream}, Group: "Commands",
		Help:       "file or directory whose change replaces the processes, as SIGHUP does",
		setHandler: func(h *Handler, v value) error { h.Watch = v; return nil },
	},
	{
		Name: "header", Kind: Lines, Modes: []Mode{HTTP}, Group: "Commands",
		Help:       "additional header of each request, as \"Name: value\"",
		setHandler: func(h *Handler, v value) error { return v.headers(&h.Headers) },
	},

	{
		Name: "max-result", Kind: Size, Default: "64Mi", Group: "Memory and disk",
		Help:       "a job with a larger result fails",
		setHandler: func(h *Handler, v value) error { return v.size(&h.MaxResult, 1) },
	},
	{
		Name: "max-workload", Kind: Size, Default: "1Gi", Group: "Memory and disk",
		Help: "a job with a larger workload fails, without a further attempt; 0: no limit",
		set:  func(o *Options, v value) error { return v.size(&o.MaxWorkload, 0) },
	},
	{
		Name: "spool-above", Kind: Size, Default: "1Mi", Group: "Memory and disk",
		Help: "workloads and results larger than this are kept in files",
		set:  func(o *Options, v value) error { return v.size(&o.SpoolAbove, 1) },
	},
	{
		Name: "spool-dir", Kind: Text, Group: "Memory and disk",
		Help: "directory for these files, which have no names and vanish with the worker; empty: TMPDIR, else /tmp",
		set:  func(o *Options, v value) error { o.SpoolDir = v.text(); return nil },
	},

	{
		Name: "tls", Kind: Bool, Default: "false", Group: "TLS to the job servers",
		Help: "use TLS, with the system's certificate authorities unless --tls-ca is given",
		set:  func(o *Options, v value) error { return v.boolean(&o.TLS) },
	},
	{
		Name: "tls-ca", Kind: Text, Group: "TLS to the job servers",
		Help: "file of the certificate authorities (PEM) that sign the job servers' certificates; implies --tls",
		set:  func(o *Options, v value) error { o.TLSCA = v.text(); return nil },
	},
	{
		Name: "tls-cert", Kind: Text, Group: "TLS to the job servers",
		Help: "file of the client certificate (PEM); implies --tls",
		set:  func(o *Options, v value) error { o.TLSCert = v.text(); return nil },
	},
	{
		Name: "tls-key", Kind: Text, Group: "TLS to the job servers",
		Help: "file of the client certificate's key (PEM)",
		set:  func(o *Options, v value) error { o.TLSKey = v.text(); return nil },
	},
	{
		Name: "tls-server-name", Kind: Text, Group: "TLS to the job servers",
		Help: "name that the job servers' certificates must carry; empty: the name in --server",
		set:  func(o *Options, v value) error { o.TLSServerName = v.text(); return nil },
	},

	{
		Name: "listen", Kind: Text, Group: "Watching the worker",
		Help: "address for /healthz, /readyz, /metrics and /statusz, as in :4790; empty: off",
		set:  func(o *Options, v value) error { o.Listen = v.text(); return nil },
	},
	{
		Name: "log-format", Kind: Text, Default: "json", Values: []string{"json", "text"}, Group: "Watching the worker",
		Help: "format of the log on standard error",
		set:  func(o *Options, v value) error { o.LogFormat = v.text(); return nil },
	},
	{
		Name: "log-level", Kind: Text, Default: "info", Values: []string{"debug", "info", "warn", "error"},
		Group: "Watching the worker",
		Help:  "lowest level that is logged; commands' own output is logged at info",
		set:   func(o *Options, v value) error { return o.LogLevel.UnmarshalText([]byte(v.text())) },
	},
	{
		Name: "log-rate", Kind: Int, Default: "200", Group: "Watching the worker",
		Help: "lines a second of commands' output that are logged, after a burst of ten times as many; the rest is counted; 0: all",
		set:  func(o *Options, v value) error { return v.rate(&o.LogRate) },
	},
	{
		Name: "pod-uid", Kind: Text, Group: "Watching the worker",
		Help: "uid of the pod, for the telemetry in the client id (set by the operator)",
		set:  func(o *Options, v value) error { o.PodUID = v.text(); return nil },
	},
	{
		Name: "pod-name", Kind: Text, Group: "Watching the worker",
		Help: "name of the pod, for the telemetry in the client id (set by the operator)",
		set:  func(o *Options, v value) error { o.PodName = v.text(); return nil },
	},

	{
		Name: "config", Kind: Text, Group: "Configuration",
		Help: "YAML file with the same names as keys; command run needs one with handlers",
		set:  func(*Options, value) error { return nil },
	},
	{
		Name: "check", Kind: Bool, Default: "false", Group: "Configuration",
		Help: "print the effective configuration, try the job servers, and exit",
		set:  func(o *Options, v value) error { return v.boolean(&o.Check) },
	},
}
