package process

import "strings"

// ofTheJob are the variables that describe a job to its process. An inherited one would be found
// first.
var ofTheJob = []string{
	"GEARMAN_FUNCTION=", "GEARMAN_HANDLE=", "GEARMAN_UNIQUE=", "GEARMAN_WORKLOAD_BYTES=", "GEARMAN_ATTEMPT=",
	"GEARMAN_RUN=",
	"TRACEPARENT=", "TRACESTATE=",
}

// JobEnvironment returns the part of the worker's environment that jobs may see: without the
// worker's own settings, which include tokens, and without the variables that each job gets for
// itself.
func JobEnvironment(env []string) []string {
	out := make([]string, 0, len(env))
	for _, e := range env {
		if !strings.HasPrefix(e, "GEARMAN_WORKER_") && !hasAnyPrefix(e, ofTheJob) {
			out = append(out, e)
		}
	}
	return out
}

func hasAnyPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
