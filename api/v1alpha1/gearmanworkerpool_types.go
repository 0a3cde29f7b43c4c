package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// GearmanWorkerPool runs as many workers for one or more Gearman functions as their job queues need.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=gwp,categories=gearman
// +kubebuilder:printcolumn:name="Functions",type=string,JSONPath=`.status.functions`
// +kubebuilder:printcolumn:name="Queued",type=integer,JSONPath=`.status.queue.queued`
// +kubebuilder:printcolumn:name="Running",type=integer,JSONPath=`.status.queue.running`
// +kubebuilder:printcolumn:name="Wait",type=integer,JSONPath=`.status.queue.oldestWaitSeconds`
// +kubebuilder:printcolumn:name="Pods",type=string,JSONPath=`.status.pods`
// +kubebuilder:printcolumn:name="Max",type=integer,JSONPath=`.spec.maxReplicas`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.status.mode`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.decision.reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Replicas",type=integer,priority=1,JSONPath=`.status.replicas`
// +kubebuilder:printcolumn:name="Desired",type=integer,priority=1,JSONPath=`.status.desiredReplicas`
// +kubebuilder:printcolumn:name="Min",type=integer,priority=1,JSONPath=`.spec.minReplicas`
// +kubebuilder:printcolumn:name="Servers",type=string,priority=1,JSONPath=`.spec.servers`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="the pool's name becomes a label value: use at most 63 characters"
type GearmanWorkerPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec GearmanWorkerPoolSpec `json:"spec"`
	// +optional
	Status GearmanWorkerPoolStatus `json:"status,omitempty"`
}

// GearmanWorkerPoolList is a list of pools.
//
// +kubebuilder:object:root=true
type GearmanWorkerPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GearmanWorkerPool `json:"items"`
}

// GearmanWorkerPoolSpec describes what to run and how to scale it.
//
// +kubebuilder:validation:XValidation:rule="has(self.function) != has(self.functions)",message="set exactly one of function (a name) and functions (a list of names)"
// +kubebuilder:validation:XValidation:rule="has(self.image) != has(self.targetRef)",message="set exactly one of image (the operator creates a Deployment) and targetRef (the operator scales one that exists)"
// +kubebuilder:validation:XValidation:rule="has(self.targetRef) == has(oldSelf.targetRef)",message="a pool cannot change between image and targetRef: delete it and create another"
// +kubebuilder:validation:XValidation:rule="!has(self.targetRef) || !(has(self.runtime) || has(self.command) || has(self.args) || has(self.env) || has(self.envFrom) || has(self.resources) || has(self.imagePullPolicy) || has(self.podTemplate))",message="with targetRef the pods belong to the target: leave out runtime, command, args, env, envFrom, resources, imagePullPolicy and podTemplate"
// +kubebuilder:validation:XValidation:rule="!has(self.runtime) || !(has(self.command) || has(self.args))",message="with runtime the container's command is the operator's: put your command into runtime.exec.command or runtime.stream.command and leave out command and args"
// +kubebuilder:validation:XValidation:rule="self.minReplicas <= self.maxReplicas",message="minReplicas must not be greater than maxReplicas: lower minReplicas or raise maxReplicas",fieldPath=".minReplicas"
// +kubebuilder:validation:XValidation:rule="!has(self.runtime) || !has(self.runtime.jobTimeoutSeconds) || !has(self.drainSeconds) || self.runtime.jobTimeoutSeconds + 10 <= self.drainSeconds",message="drainSeconds must be at least runtime.jobTimeoutSeconds + 10, or a stopping pod could not finish its job: raise drainSeconds or lower the timeout",fieldPath=".drainSeconds"
type GearmanWorkerPoolSpec struct {
	// Servers are the Gearman job servers: host, host:port, [IPv6] or [IPv6]:port. The default port is 4730. A name that
	// resolves to several addresses (a headless Service) stands for several job servers. Each has its own queue; the pool
	// scales by their sum.
	//
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Servers []ServerAddress `json:"servers"`

	// TLS configures TLS for all job servers. If unset, connections use plain TCP.
	// +optional
	TLS *TLSSpec `json:"tls,omitempty"`

	// Function is the Gearman function that the pool's workers serve. Set exactly one of function and functions.
	// +optional
	Function FunctionName `json:"function,omitempty"`

	// Functions are Gearman functions that share the pool's workers. Set exactly one of function and functions.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Functions []FunctionName `json:"functions,omitempty"`

	// Image is the image of the container named worker. Set exactly one of image and targetRef.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Image string `json:"image,omitempty"`

	// TargetRef names an existing Deployment or StatefulSet in the pool's namespace. The operator sets its replicas and
	// changes nothing else.
	// +optional
	TargetRef *TargetRef `json:"targetRef,omitempty"`

	// Runtime turns the image's program into a Gearman worker. Leave it unset if the image is a Gearman worker already.
	// +optional
	Runtime *RuntimeSpec `json:"runtime,omitempty"`

	// Command overrides the image's entry point. It can't be combined with runtime.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=65536
	Command []string `json:"command,omitempty"`

	// Args overrides the image's arguments. It can't be combined with runtime.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=65536
	Args []string `json:"args,omitempty"`

	// Env is the list of environment variables of the worker container.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Env []corev1.EnvVar `json:"env,omitempty"`

	// EnvFrom lists ConfigMaps and Secrets whose keys become environment variables of the worker container.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	EnvFrom []corev1.EnvFromSource `json:"envFrom,omitempty"`

	// Resources are the worker container's requests and limits.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// ImagePullPolicy of the worker container. If unset, Kubernetes' default applies.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// PodTemplate holds any other part of a pod template (metadata and spec). The operator's own settings take precedence:
	// the selector labels, the restart policy, the grace period and the injected command. It is decoded strictly: an unknown
	// field is reported in the Stalled condition with reason InvalidPodTemplate.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	PodTemplate *runtime.RawExtension `json:"podTemplate,omitempty"`

	// Concurrency is the number of jobs that one pod runs at the same time.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Concurrency int32 `json:"concurrency,omitempty"`

	// MinReplicas is the minimum number of pods, even while there are no jobs.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MinReplicas int32 `json:"minReplicas"`

	// MaxReplicas is the maximum number of pods, however long the queue is.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MaxReplicas int32 `json:"maxReplicas"`

	// Scaling configures how the number of pods follows the queue. Every field has a default.
	// +optional
	Scaling *ScalingSpec `json:"scaling,omitempty"`

	// DrainSeconds is how long a stopping pod may take to finish its jobs (the pod's termination grace period). Default:
	// runtime.jobTimeoutSeconds + 30; without a job timeout 3600 with a runtime, which exits as soon as its jobs have ended, and 300
	// without a runtime. Above 600, node autoscalers are asked not to disturb the pods, if this field or the job timeout was set.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2592000
	DrainSeconds *int32 `json:"drainSeconds,omitempty"`
}

// ServerAddress is a job server's address: host, host:port, [IPv6] or [IPv6]:port.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=262
// +kubebuilder:validation:XValidation:rule="self.matches('^(\\\\[[0-9a-fA-F:.]+\\\\]|[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?)(:[0-9]{1,5})?$')",message="a job server is written host, host:port, [IPv6] or [IPv6]:port, without white space and without a scheme, such as gearmand.jobs.svc:4730"
// +kubebuilder:validation:XValidation:rule="!self.matches(':[0-9]{1,5}$') || (int(self.substring(self.lastIndexOf(':') + 1)) >= 1 && int(self.substring(self.lastIndexOf(':') + 1)) <= 65535)",message="the job server's port must be from 1 to 65535 (Gearman's own is 4730)"
type ServerAddress string

// FunctionName is the name of a Gearman function: 1 to 255 bytes, without white space and control characters.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=255
// +kubebuilder:validation:XValidation:rule="self.matches('^[^[:space:][:cntrl:]]+$')",message="a function name must not contain white space or control characters"
// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 255",message="a function name must not be longer than 255 bytes"
type FunctionName string

// TLSSpec configures TLS connections to the job servers. Secrets are read from the pool's namespace.
type TLSSpec struct {
	// CASecret selects the key of a Secret with the PEM certificates of the job servers' CA. If unset, the system's CAs are used.
	// +optional
	CASecret *SecretKey `json:"caSecret,omitempty"`

	// ClientCertificateSecret names a Secret of type kubernetes.io/tls (tls.crt, tls.key) with the client certificate.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ClientCertificateSecret string `json:"clientCertificateSecret,omitempty"`

	// ServerName is the name expected in the job servers' certificates. If unset, it is the host of each address.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ServerName string `json:"serverName,omitempty"`
}

// SecretKey is one key of a Secret.
type SecretKey struct {
	// Name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Key in the Secret. Default: ca.crt.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// TargetRef names a workload that the pool scales but does not own.
type TargetRef struct {
	// Kind is Deployment or StatefulSet.
	// +required
	// +kubebuilder:validation:Enum=Deployment;StatefulSet
	Kind string `json:"kind"`

	// Name of the workload in the pool's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}
