package sampling

import (
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
)

// Outcomes returns the counts of the workers' telemetry by function, and whether there are any.
func Outcomes(functions []backlog.FunctionSample) (counters []outcome.FunctionCounts, counted bool) {
	counters = make([]outcome.FunctionCounts, len(functions))
	for i := range functions {
		f := &functions[i]
		counters[i] = outcome.FunctionCounts{Function: f.Name, Counts: outcome.CountsOf(&f.Counters)}
		counted = counted || counters[i].Counts != outcome.Counts{}
	}
	return counters, counted
}
