package worker

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
)

// TestClassify checks that every error of a handler gets a reason and a message for retries and
// dead letters.
func TestClassify(t *testing.T) {
	t.Parallel()
	late, cancel := context.WithCancelCause(t.Context())
	cancel(ErrTimeout)
	boom := []byte("boom")
	tests := map[string]struct {
		ctx  context.Context
		err  error
		want gearman.JobError
	}{
		"an error": {t.Context(), errors.New("broken"), gearman.JobError{Reason: "failed", Message: "broken"}},
		"a panic": {
			t.Context(), &PanicError{Value: 1},
			gearman.JobError{Reason: "panic", Message: "handler panicked: 1", Crashed: true},
		},
		"a time-out": {late, errors.New("cut"), gearman.JobError{Reason: "timeout", Message: "cut", TimedOut: true}},
		"one that says all": {
			late, &gearman.JobError{Reason: "r", Message: "m", Permanent: true},
			gearman.JobError{Reason: "r", Message: "m", Permanent: true},
		},
		"one that says nothing": {
			t.Context(), fmt.Errorf("resize: %w", &gearman.JobError{}),
			gearman.JobError{Reason: "failed", Message: "resize: the job failed"},
		},
		"an exception": {
			t.Context(), &gearman.JobError{Exception: boom},
			gearman.JobError{Reason: "exception", Message: `the job failed with exception "boom"`, Exception: boom},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := check.Diff(tc.want, *classify(tc.ctx, tc.err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
