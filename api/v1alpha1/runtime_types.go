package v1alpha1

// RuntimeSpec turns a command, a long-lived process or an HTTP endpoint into a Gearman worker. The operator adds the runtime
// to the pod; the image doesn't have to know Gearman.
//
// +kubebuilder:validation:XValidation:rule="[has(self.exec), has(self.stream), has(self.http)].filter(x, x).size() == 1",message="set exactly one of exec (one process for each job), stream (long-lived processes) and http (one request for each job)"
// +kubebuilder:validation:XValidation:rule="!has(self.maxJobs) || self.maxJobs == 0 || has(self.stream)",message="maxJobs replaces the processes of stream: leave it out with exec and http",fieldPath=".maxJobs"
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

	// MaxJobs replaces a stream process after so many jobs; absent or 0: never.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxJobs *int32 `json:"maxJobs,omitempty"`

	// OnCrash says what becomes of a job whose process died by a signal or broke the protocol: Fail (default) tells the client, Requeue
	// lets the job server hand it to another worker.
	// +optional
	// +kubebuilder:validation:Enum=Fail;Requeue
	OnCrash CrashPolicy `json:"onCrash,omitempty"`
}

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
}

// HTTPRuntime posts each job to a URL. A 2xx response completes the job; its body is the result.
type HTTPRuntime struct {
	// URL is http://, https:// or unix://.
	// +required
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^(https?|unix)://[^[:space:]]+$')",message="url must start with http://, https:// or unix:// and must not contain white space"
	URL string `json:"url"`
}
