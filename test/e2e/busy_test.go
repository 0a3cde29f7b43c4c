//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"
)

const (
	busyJobs = 50
	busyLong = 20 * time.Second
)

// TestLowerMaxReplicas: 50 jobs of 20 s run, two in each pod, and maxReplicas is lowered. The
// removed pods finish their jobs first.
func TestLowerMaxReplicas(t *testing.T) {
	t.Parallel()
	s := stage(t)
	ctx := within(t, 10*time.Minute)
	pool := func(replicas, most int64) func(map[string]any) {
		return func(spec map[string]any) {
			spec["minReplicas"], spec["maxReplicas"], spec["concurrency"] = replicas, most, int64(2)
			scaling(spec, "idleSeconds", int64(5))
		}
	}
	must(t, s.ApplyPool(ctx, pool(busyJobs/2, busyJobs/2)))
	ready(t, s, busyJobs/2, 5*time.Minute)
	list := jobs("max", busyJobs, busyLong)
	must(t, s.Submit(ctx, list))
	started(t, s, busyJobs, time.Minute)
	must(t, s.ApplyPool(ctx, pool(0, 5)))
	allRanOnce(t, s, list, 3*time.Minute)
	atZero(t, s, 6*time.Minute)
}

// TestChangeImage: 50 jobs of 20 s run, several in each pod, and the pool's image changes. The old
// pods finish their jobs, and pods with the new image take over.
func TestChangeImage(t *testing.T) {
	t.Parallel()
	s := stage(t)
	ctx := within(t, 10*time.Minute)
	const next = "gearman-demo:next"
	pool := func(image string) func(map[string]any) {
		return func(spec map[string]any) {
			spec["minReplicas"], spec["maxReplicas"], spec["concurrency"], spec["image"] = int64(10), int64(10), int64(5), image
		}
	}
	must(t, s.ApplyPool(ctx, pool("gearman-demo:demo")))
	ready(t, s, 10, 4*time.Minute)
	list := jobs("image", busyJobs, busyLong)
	must(t, s.Submit(ctx, list))
	started(t, s, busyJobs, time.Minute)
	must(t, s.ApplyPool(ctx, pool(next)))
	allRanOnce(t, s, list, 3*time.Minute)
	eventually(t, 3*time.Minute, func(ctx context.Context) error {
		w, err := s.Workers(ctx)
		if err != nil {
			return err
		}
		for i := range w.Pods {
			if image := w.Pods[i].Spec.Containers[0].Image; image != next {
				return fmt.Errorf("pod %s still has image %s", w.Pods[i].Name, image)
			}
		}
		if w.Ready != 10 {
			return fmt.Errorf("%d of 10 workers ready", w.Ready)
		}
		return nil
	})
	more := jobs("image-next", 10, 100*time.Millisecond)
	must(t, s.Submit(ctx, more))
	allRanOnce(t, s, more, 2*time.Minute)
}
