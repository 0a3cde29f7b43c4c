package gearman_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman"
)

func TestJobError(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  gearman.JobError
		want string
	}{
		"nothing is known": {gearman.JobError{Reason: gearman.ReasonFailed}, "the job failed"},
		"no reason":        {gearman.JobError{}, "the job failed"},
		"a reason":         {gearman.JobError{Reason: "exit_code"}, "the job failed: exit_code"},
		"a message": {
			gearman.JobError{Reason: "exit_code", Message: "exit code 4", Exception: []byte("x")}, "exit code 4",
		},
		"an exception":       {gearman.JobError{Reason: gearman.ReasonException, Exception: []byte("boom")}, `the job failed with exception "boom"`},
		"an empty exception": {gearman.JobError{Exception: []byte{}}, `the job failed with exception ""`},
		"a long exception": {
			gearman.JobError{Exception: []byte(strings.Repeat("a", 1000))}, `the job failed with exception "` + strings.Repeat("a", 200) + `"...`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.err.Error(); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			err := fmt.Errorf("job: %w", &tc.err)
			if got := new(gearman.JobError); !errors.As(err, &got) || got != &tc.err ||
				!errors.Is(err, gearman.ErrJobFailed) {
				t.Errorf("%v isn't found as what it is", err)
			}
		})
	}
}

// TestKeyOf checks that equal payloads have equal keys, which every job server accepts.
func TestKeyOf(t *testing.T) {
	t.Parallel()
	a, b := gearman.KeyOf([]byte("a")), gearman.KeyOf([]byte("b"))
	if a == b || a != gearman.KeyOf([]byte("a")) || len(a) != 43 {
		t.Errorf("got %q and %q", a, b)
	}
	if want := gearman.Key(
		"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU",
	); gearman.KeyOf(nil) != want { // in every version
		t.Errorf("got %q, want %q", gearman.KeyOf(nil), want)
	}
}
