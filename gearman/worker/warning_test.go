package worker

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
)

// TestWarningBeforeFailure checks that clients that don't ask for exceptions get the reason of a
// failure, as a warning before the failure.
func TestWarningBeforeFailure(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  error
		want []string
	}{
		"a warning": {
			&gearman.JobError{Warning: []byte("why")}, []string{"WORK_WARNING why", "WORK_FAIL "},
		},
		"none":                {&gearman.JobError{Message: "why"}, []string{"WORK_FAIL "}},
		"not before a result": {nil, []string{"WORK_COMPLETE "}},
		"not before a exception": {
			&gearman.JobError{Warning: []byte("why"), Exception: []byte("e")}, []string{"WORK_FAIL "},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
				h := func(context.Context, *Job) ([]byte, error) { return nil, tc.err }
				inBubble(t, Options{}, []*gearmantest.Server{s}, map[string]Handler{"f": h}, func(*Worker) {
					if diff := check.Diff(tc.want, toEnd(t, s.DialContext)); diff != "" {
						t.Errorf("what the client is told (-want +got):\n%s", diff)
					}
				})
			})
		})
	}
}
