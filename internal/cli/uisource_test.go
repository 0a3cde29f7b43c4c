package cli

import (
	"math"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/internal/page"
)

// Job servers can report any number. The sums over them stay at the largest that can be shown.
func TestSumsOfLiars(t *testing.T) {
	t.Parallel()
	functions := map[string]*page.Function{}
	for range 3 {
		addFunctions(functions, []admin.FunctionStatus{
			{Function: "queue", Total: math.MaxUint64},
			{Function: "run", Total: math.MaxUint64, Running: math.MaxInt64, Workers: math.MaxUint64},
			{Function: "honest", Total: 5, Running: 2, Workers: 3},
			{Function: "below zero", Total: 5, Running: -1},
		})
	}
	for name, want := range map[string]page.Function{
		"queue":      {Queued: math.MaxInt64},
		"run":        {Queued: math.MaxInt64, Running: math.MaxInt64, Workers: math.MaxInt32},
		"honest":     {Queued: 9, Running: 6, Workers: 9},
		"below zero": {Queued: 15},
	} {
		want.Name = name
		if got := functions[name]; *got != want {
			t.Errorf("got %+v, want %+v", *got, want)
		}
	}
}
