package sampling

import (
	"slices"

	"github.com/gearman-operator/gearman-operator/gearman/worker"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// maxFunctionName is the longest name of a function, in bytes.
const maxFunctionName = 255

// RetryFunctions returns the functions in which failed jobs of these functions wait for their next
// attempt, if the pool retries jobs.
func RetryFunctions(functions []string) (retries []string) {
	for _, f := range functions {
		if name := f + worker.RetrySuffix; len(name) <= maxFunctionName {
			retries = append(retries, name)
		}
	}
	return retries
}

// TakeRetries removes the functions in which jobs wait for their next attempt from a sample. They
// are no backlog: only the workers can requeue them when they are due, so while there are any, law
// keeps one pod.
func TakeRetries(sample *backlog.Sample, retries []string, law *scaling.Policy) {
	if len(retries) == 0 {
		return
	}
	waiting := int64(0)
	sample.Functions = slices.DeleteFunc(sample.Functions, func(f backlog.FunctionSample) bool {
		waits := slices.Contains(retries, f.Name)
		if waits {
			waiting += f.Total
		}
		return waits
	})
	if waiting > 0 && law.Mode != scaling.ModeManual && law.Mode != scaling.ModePaused {
		law.MinReplicas = min(max(law.MinReplicas, 1), law.MaxReplicas)
	}
}
