package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

// RuntimeSpec turns a command, a long-lived process or an HTTP endpoint into a Gearman worker. The operator adds the runtime
// to the pod; the image doesn't have to know Gearman.
//
// +kubebuilder:validation:XValidation:rule="[has(self.exec), has(self.stream), has(self.http)].filter(x, x).size() == 1",message="set exactly one of exec (one process for each job), stream (long-lived processes) and http (one request for each job)"
type RuntimeSpec struct {
	// Exec runs one process for each job.
	// +optional
	Exec *ExecRuntime `json:"exec,omitempty"`

	// Stream sends jobs to long-lived processes. There are as many processes as concurrency.
	// +optional
	Stream *StreamRuntime `json:"stream,omitempty"`

	// HTTP posts each job to a URL.
	// +optional
	HTTP *HTTPRuntime `json:"http,omitempty"`

	// JobTimeoutSeconds limits the run time of a job. A job that takes longer is stopped and fails. If unset, there is no limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2592000
	JobTimeoutSeconds *int32 `json:"jobTimeoutSeconds,omitempty"`

	// OnCrash selects what happens to a job whose process was killed by a signal or broke the protocol. Requeue (default) runs it
	// again, up to three times in all, or as often as retry allows. Fail fails it.
	// +optional
	// +kubebuilder:validation:Enum=Fail;Requeue
	OnCrash CrashPolicy `json:"onCrash,omitempty"`

	// Retry runs jobs that fail again, after a wait. If unset, a failure is final. Jobs for which clients wait are not tried again.
	// +optional
	Retry *RetrySpec `json:"retry,omitempty"`
}

// Mode returns the name of the mode that is set, which is the runtime's command for it, and what the mode runs: a command with
// its arguments, or a URL. The name is empty if no mode is set.
func (r *RuntimeSpec) Mode() (name string, target []string) {
	switch {
	case r.Exec != nil:
		return "exec", r.Exec.Command
	case r.Stream != nil:
		return "stream", r.Stream.Command
	case r.HTTP != nil:
		return "http", []string{r.HTTP.URL}
	}
	return "", nil
}

// RetrySpec configures how often and when failed jobs run again, and what happens to jobs that fail for good. A job waits for its
// next attempt in a function of its own, named as the job's function with ".retry" appended. It is not part of the backlog meanwhile.
type RetrySpec struct {
	// Attempts is how often a job runs in all.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=20
	Attempts *int32 `json:"attempts,omitempty"`

	// BackoffSeconds is the wait before the second attempt. It doubles with each further attempt.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	BackoffSeconds *int32 `json:"backoffSeconds,omitempty"`

	// MaxBackoffSeconds is the longest wait between two attempts.
	// +optional
	// +kubebuilder:default=600
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=604800
	MaxBackoffSeconds *int32 `json:"maxBackoffSeconds,omitempty"`

	// OnTimeout selects what happens to a job that ran for longer than jobTimeoutSeconds. Fail (default) fails it, Retry tries it again.
	// +optional
	// +kubebuilder:validation:Enum=Fail;Retry
	OnTimeout TimeoutPolicy `json:"onTimeout,omitempty"`

	// DeadLetterFunction is a Gearman function that gets the jobs which have failed for good: a line of JSON with the reason, a
	// newline and the workload. If unset, these jobs are lost.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[^\s[:cntrl:]]+$`
	DeadLetterFunction string `json:"deadLetterFunction,omitempty"`
}

// TimeoutPolicy selects what happens to a job that ran out of time.
type TimeoutPolicy string

// The timeout policies.
const (
	TimeoutFail  TimeoutPolicy = "Fail"
	TimeoutRetry TimeoutPolicy = "Retry"
)

// CrashPolicy selects what happens to a job whose process crashed.
type CrashPolicy string

// The crash policies.
const (
	CrashFail    CrashPolicy = "Fail"
	CrashRequeue CrashPolicy = "Requeue"
)

// ExecRuntime runs one process for each job. The process reads the workload from its standard input and writes the result to
// its standard output. Exit code 0 completes the job; any other exit code fails it.
type ExecRuntime struct {
	// Command is the program and its arguments.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=65536
	Command []string `json:"command"`
}

// StreamRuntime keeps processes running and sends each one job at a time over file descriptors 3 and 4.
type StreamRuntime struct {
	// Command is the program and its arguments.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=65536
	Command []string `json:"command"`

	// MaxJobs replaces a process after this many jobs. If unset or 0, never.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxJobs *int32 `json:"maxJobs,omitempty"`

	// MaxLifetimeSeconds replaces a process after this time, between two jobs. If unset or 0, never.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=31536000
	MaxLifetimeSeconds *int32 `json:"maxLifetimeSeconds,omitempty"`

	// MaxMemory replaces a process after its job if it takes more memory than this. If unset, never.
	// +optional
	MaxMemory *resource.Quantity `json:"maxMemory,omitempty"`
}

// HTTPRuntime posts each job to a URL. A 2xx response completes the job; its body is the result.
type HTTPRuntime struct {
	// URL is http://, https:// or unix://.
	// +required
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^(https?|unix)://[^[:space:]]+$')",message="url must start with http://, https:// or unix:// and must not contain white space"
	URL string `json:"url"`
}
