package policy

import (
	"time"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman"
)

// Defaults of the fields that the CRD leaves empty.
const (
	DefaultTargetWait = 30 * time.Second
	DefaultPoll       = 5 * time.Second
	DefaultIdle       = 30 * time.Second
	DefaultStaleAfter = time.Hour
	// DefaultDrain is the default drain of a pool with a runtime, in seconds: an upper limit, since
	// the runtime ends as soon as its jobs have.
	DefaultDrain = 3600
	// DefaultDrainWithoutRuntime is the default drain of an image that speaks Gearman itself, in
	// seconds: one that ignores SIGTERM takes jobs for all of it.
	DefaultDrainWithoutRuntime = 300
	// DrainMargin is added to a job timeout to make the default drain, in seconds.
	DrainMargin = 30
)

// Functions returns the names of the pool's functions.
func Functions(s *v1alpha1.GearmanWorkerPoolSpec) []string {
	if s.Function != "" {
		return []string{string(s.Function)}
	}
	names := make([]string, len(s.Functions))
	for i, f := range s.Functions {
		names[i] = string(f)
	}
	return names
}

// Servers returns the job servers' addresses, each with a port.
func Servers(s *v1alpha1.GearmanWorkerPoolSpec) []string {
	addrs := make([]string, len(s.Servers))
	for i, a := range s.Servers {
		addrs[i] = withPort(string(a))
	}
	return addrs
}

// withPort adds the default port. An invalid address, which the API server rejects, is not changed.
func withPort(addr string) string {
	a, err := gearman.ParseAddress(addr)
	if err != nil {
		return addr
	}
	if full := a.String(); full != addr {
		return full
	}
	return addr // the spec has this text already: a pool may name many job servers
}

// DrainSeconds is how long a terminating pod may finish its jobs.
func DrainSeconds(s *v1alpha1.GearmanWorkerPoolSpec) int32 {
	if s.DrainSeconds != nil {
		return *s.DrainSeconds
	}
	if s.Runtime != nil && s.Runtime.JobTimeoutSeconds != nil {
		return *s.Runtime.JobTimeoutSeconds + DrainMargin
	}
	if s.Runtime == nil {
		return DefaultDrainWithoutRuntime
	}
	return DefaultDrain
}

// ChosenDrainSeconds is the drain that the user set, directly or with a job timeout; 0 if it is a
// default.
func ChosenDrainSeconds(s *v1alpha1.GearmanWorkerPoolSpec) int32 {
	if s.DrainSeconds != nil || s.Runtime != nil && s.Runtime.JobTimeoutSeconds != nil {
		return DrainSeconds(s)
	}
	return 0
}

// CAKey is the key of the CA certificates in their Secret.
func CAKey(k *v1alpha1.SecretKey) string {
	if k.Key == "" {
		return "ca.crt"
	}
	return k.Key
}

// Poll is how often the pool's job servers are polled.
func Poll(s *v1alpha1.GearmanWorkerPoolSpec) time.Duration {
	if s.Scaling == nil {
		return DefaultPoll
	}
	return secondsOr(s.Scaling.PollSeconds, DefaultPoll)
}

// StaleAfter is how long a job server may be silent before it is left out of the sums.
func StaleAfter(s *v1alpha1.GearmanWorkerPoolSpec) time.Duration {
	if s.Scaling == nil {
		return DefaultStaleAfter
	}
	return secondsOr(s.Scaling.StaleAfterSeconds, DefaultStaleAfter)
}

// Mode is the pool's scaling mode.
func Mode(s *v1alpha1.GearmanWorkerPoolSpec) v1alpha1.ScalingMode {
	if s.Scaling == nil || s.Scaling.Mode == "" {
		return v1alpha1.ModeAuto
	}
	return s.Scaling.Mode
}

func secondsOr(s *int32, def time.Duration) time.Duration {
	if s == nil {
		return def
	}
	return time.Duration(*s) * time.Second
}
