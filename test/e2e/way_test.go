//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/test/cluster"
)

// TestFromZeroToZero tests the whole way: nothing runs, jobs are submitted, workers start, all jobs
// complete, nothing runs.
func TestFromZeroToZero(t *testing.T) {
	t.Parallel()
	s := stage(t)
	ctx := within(t, 5*time.Minute)
	must(t, s.ApplyPool(ctx, func(spec map[string]any) { scaling(spec, "idleSeconds", int64(10)) }))
	eventually(t, time.Minute, func(ctx context.Context) error {
		p, err := s.Pool(ctx)
		if err == nil && p.Status.ObservedGeneration == 0 {
			err = fmt.Errorf("the operator has not seen the pool yet")
		}
		return err
	})
	if w, err := s.Workers(ctx); err != nil || w.Replicas != 0 {
		t.Fatalf("before the first job: %d replicas, %v; want none", w.Replicas, err)
	}
	list := jobs("way", 100, time.Second)
	must(t, s.Submit(ctx, list))
	allRanOnce(t, s, list, 4*time.Minute)
	atZero(t, s, 6*time.Minute)
	q, err := s.Queue(ctx)
	if diff := cmp.Diff(cluster.Queue{}, q); err != nil || diff != "" {
		t.Errorf("queue (-want +got), %v:\n%s", err, diff)
	}
}
