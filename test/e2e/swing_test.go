//go:build e2e

package e2e

import (
	"os"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/test/cluster"
)

// swings is how a pool is disturbed while 200 jobs run: in a minute and a half, or with make
// e2e-long in five minutes with longer jobs.
type swings struct {
	lasts, each time.Duration // in total, and from one change to the next
	job         time.Duration
}

const swingJobs = 200

func howLong() swings {
	if os.Getenv("E2E_LONG") != "" {
		return swings{lasts: 5 * time.Minute, each: 20 * time.Second, job: 55 * time.Second}
	}
	return swings{lasts: 90 * time.Second, each: 10 * time.Second, job: 15 * time.Second}
}

// swing submits 200 jobs and changes the pool again and again. Each job must run exactly once, to
// its end.
func swing(t *testing.T, change func(turn int, spec map[string]any)) {
	s, long := stage(t), howLong()
	ctx := within(t, long.lasts+15*time.Minute)
	apply := func(turn int) {
		must(t, s.ApplyPool(ctx, func(spec map[string]any) {
			spec["concurrency"], spec["maxReplicas"] = int64(4), int64(15)
			spec["runtime"].(map[string]any)["jobTimeoutSeconds"] = int64(180) // the machine may be slow
			change(turn, spec)
		}))
	}
	apply(0)
	ready(t, s, 1, 5*time.Minute)
	list := jobs("swing", swingJobs, long.job)
	must(t, s.Submit(ctx, list))
	begin, turn := time.Now(), 0
	var ended int
	for range time.Tick(long.each) { // the disturbance itself
		if turn++; time.Since(begin) > long.lasts {
			break
		}
		apply(turn)
		if w, err := s.Workers(ctx); err == nil {
			ended = max(ended, w.Terminating)
		}
	}
	allRanOnce(t, s, list, 4*long.job+5*time.Minute)
	runs, err := s.Runs(ctx)
	must(t, err)
	pods := map[string]bool{}
	for _, r := range runs {
		pods[r.Pod] = true
	}
	t.Logf("%d jobs of %v in %d pods, %d changes in %v, at most %d pods ending at once: %+v",
		len(list), long.job, len(pods), turn, long.lasts, ended, cluster.CountRuns(list, runs))
	if len(pods) < 15 {
		t.Errorf("only %d pods had jobs: nothing was disturbed", len(pods))
	}
}

// TestReplicasSwing: the test forces the replicas back and forth between 5 and 15 while jobs run in
// all slots.
func TestReplicasSwing(t *testing.T) {
	t.Parallel()
	swing(t, func(turn int, spec map[string]any) {
		scaling(spec, "mode", "Manual")
		scaling(spec, "manualReplicas", int64(15-10*(turn%2)))
	})
}

// TestImageSwings: the image changes back and forth while jobs run. The old pods finish their jobs
// each time.
func TestImageSwings(t *testing.T) {
	t.Parallel()
	swing(t, func(turn int, spec map[string]any) {
		spec["minReplicas"], spec["maxReplicas"] = int64(8), int64(8)
		// The image changes only every other turn, so that a rollout makes progress.
		if turn/2%2 == 1 {
			spec["image"] = "gearman-demo:next"
		}
	})
}
