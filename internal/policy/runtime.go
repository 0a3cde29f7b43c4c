package policy

import (
	"strconv"
	"strings"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// RuntimeArgs returns the arguments of the worker runtime for a pool with one: its command, the
// flags, and what it runs. The files of the pool's Secrets are expected in tlsDir, as ca.crt,
// tls.crt and tls.key.
func RuntimeArgs(s *v1alpha1.GearmanWorkerPoolSpec, tlsDir string) (mode string, flags, rest []string) {
	r := s.Runtime
	mode, target := r.Mode()
	rest = append([]string{"--"}, target...)
	for _, server := range s.Servers {
		flags = append(flags, "--server="+string(server))
	}
	for _, f := range Functions(s) {
		flags = append(flags, "--function="+f)
	}
	flags = append(flags,
		"--concurrency="+strconv.Itoa(int(max(1, s.Concurrency))),
		"--drain-timeout="+seconds(softDrain(DrainSeconds(s))))
	if r.JobTimeoutSeconds != nil {
		flags = append(flags, "--job-timeout="+seconds(*r.JobTimeoutSeconds))
	}
	if r.OnCrash != "" {
		flags = append(flags, "--on-crash="+strings.ToLower(string(r.OnCrash)))
	}
	if r.Stream != nil {
		flags = append(flags, streamFlags(r.Stream)...)
	}
	if r.Retry != nil {
		flags = append(flags, retryFlags(r.Retry)...)
	}
	return mode, append(flags, tlsFlags(s.TLS, tlsDir)...), rest
}

func streamFlags(s *v1alpha1.StreamRuntime) (flags []string) {
	if s.MaxJobs != nil {
		flags = append(flags, "--stream-max-jobs="+strconv.Itoa(int(*s.MaxJobs)))
	}
	if s.MaxLifetimeSeconds != nil {
		flags = append(flags, "--max-lifetime="+seconds(*s.MaxLifetimeSeconds))
	}
	if s.MaxMemory != nil {
		flags = append(flags, "--max-memory="+strconv.FormatInt(s.MaxMemory.Value(), 10))
	}
	return flags
}

func retryFlags(r *v1alpha1.RetrySpec) []string {
	flags := []string{
		"--retry-attempts=" + strconv.Itoa(int(valueOr(r.Attempts, DefaultRetryAttempts))),
		"--retry-backoff=" + seconds(valueOr(r.BackoffSeconds, DefaultRetryBackoffSeconds)),
		"--retry-max-backoff=" + seconds(valueOr(r.MaxBackoffSeconds, DefaultRetryMaxBackoffSeconds)),
	}
	if r.OnTimeout == v1alpha1.TimeoutRetry {
		flags = append(flags, "--retry-timeouts")
	}
	if r.DeadLetterFunction != "" {
		flags = append(flags, "--dead-letter-function="+r.DeadLetterFunction)
	}
	return flags
}

// The defaults of a pool's retry, equal to the CRD's.
const (
	DefaultRetryAttempts          = 5
	DefaultRetryBackoffSeconds    = 10
	DefaultRetryMaxBackoffSeconds = 600
)

func valueOr(v *int32, fallback int32) int32 {
	if v == nil {
		return fallback
	}
	return *v
}

func tlsFlags(t *v1alpha1.TLSSpec, dir string) []string {
	if t == nil {
		return nil
	}
	flags := []string{"--tls"}
	if t.CASecret != nil {
		flags = append(flags, "--tls-ca="+dir+"/ca.crt")
	}
	if t.ClientCertificateSecret != "" {
		flags = append(flags, "--tls-cert="+dir+"/tls.crt", "--tls-key="+dir+"/tls.key")
	}
	if t.ServerName != "" {
		flags = append(flags, "--tls-server-name="+t.ServerName)
	}
	return flags
}

// softDrain is how long the runtime lets jobs finish: a little less than the grace period, so that
// unfinished jobs are requeued before the process is killed.
func softDrain(drain int32) int32 {
	return max(1, drain-min(5, max(1, drain/5)))
}

func seconds(n int32) string { return strconv.Itoa(int(n)) + "s" }
