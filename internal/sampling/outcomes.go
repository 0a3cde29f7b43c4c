package sampling

import (
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
)

// Outcomes are what the workers' telemetry has counted of each function, and whether it has counted
// anything.
func Outcomes(functions []backlog.FunctionSample) (counters []outcome.FunctionCounts, counted bool) {
	counters = make([]outcome.FunctionCounts, len(functions))
	for i := range functions {
		c := &functions[i].Counters
		counters[i] = outcome.FunctionCounts{Function: functions[i].Name, Counts: outcome.Counts{
			Completed: c.OK, Failed: max(0, c.Failed-c.DeadLettered), DeadLettered: c.DeadLettered,
			Requeued: max(0, c.Requeued-c.Retried), Retried: c.Retried,
		}}
		counted = counted || counters[i].Counts != outcome.Counts{}
	}
	return counters, counted
}
