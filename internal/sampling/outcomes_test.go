package sampling

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

// TestOutcomes: telemetry counts dead letters among the failed jobs and retries among the requeued
// ones; here each job is counted once.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	got, counted := Outcomes([]backlog.FunctionSample{
		{Name: "f", Counters: telemetry.Counters{OK: 5, Failed: 4, DeadLettered: 3, Requeued: 9, Retried: 7}},
		// Corrected forged IDs can leave the parts above their sums.
		{Name: "g", Counters: telemetry.Counters{Failed: 1, DeadLettered: 2, Requeued: 1, Retried: 2}},
		{Name: "h"},
	})
	want := []outcome.FunctionCounts{
		{Function: "f", Counts: outcome.Counts{Completed: 5, Failed: 1, DeadLettered: 3, Requeued: 2, Retried: 7}},
		{Function: "g", Counts: outcome.Counts{DeadLettered: 2, Retried: 2}},
		{Function: "h"},
	}
	if diff := cmp.Diff(want, got); diff != "" || !counted {
		t.Errorf("counted %v (-want +got):\n%s", counted, diff)
	}
	if _, counted := Outcomes([]backlog.FunctionSample{{Name: "f"}}); counted {
		t.Error("nothing was counted")
	}
}
