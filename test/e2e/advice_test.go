//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// advised waits until explain prints an advice about a pool.
func (p pools) advised(name, advice string) {
	p.t.Helper()
	eventually(p.t, 5*time.Minute, func(ctx context.Context) error {
		out, _, err := plugin(ctx, p.Stage, "", "explain", name)
		if err == nil && !strings.Contains(out, advice) {
			err = fmt.Errorf("explain of pool %s lacks %q:\n%s", name, advice, out)
		}
		return err
	})
}

// TestTargetBelowStartTime: if pods take longer to start than a job should wait, every output
// reports it and says what to change. After that change it is no longer reported.
func TestTargetBelowStartTime(t *testing.T) {
	t.Parallel()
	p := pools{stage(t), t}
	ctx := within(t, 10*time.Minute)
	since := time.Now()
	target := func(seconds int64) {
		p.apply(ctx, "slow", func(spec map[string]any) {
			spec["minReplicas"] = int64(1)
			scaling(spec, "targetWaitSeconds", seconds)
			spec["podTemplate"] = map[string]any{"spec": map[string]any{"initContainers": []any{map[string]any{
				"name": "slow", "image": "gearman-demo:demo", "imagePullPolicy": "IfNotPresent",
				"command": []any{"/bin/sleep", "3"},
			}}}}
		})
	}
	target(1)
	p.reports("slow", since, trouble{
		condition: v1alpha1.ConditionTargetBelowStartTime, reason: "PodsStartSlowly",
		title: "Pods take longer to start than a job should wait.",
	})
	p.advised("slow", "Raise scaling.targetWaitSeconds or spec.minReplicas, or make the pods start faster.")
	target(600)
	p.condition("slow", v1alpha1.ConditionTargetBelowStartTime, "False")
}

// silentWorker is a Gearman worker without telemetry. It takes jobs of the function "mute" and
// never completes one.
const silentWorker = `trap 'exit 0' TERM
{
  printf '\000REQ\000\000\000\001\000\000\000\004mute' # CAN_DO
  while :; do
    printf '\000REQ\000\000\000\011\000\000\000\000' # GRAB_JOB
    sleep 1
  done
} | nc "${GEARMAN_SERVERS%:*}" "${GEARMAN_SERVERS#*:}" >/dev/null &
wait`

// TestScaleDownBlocked: one of two pods runs a job, and without telemetry nobody knows which. So no
// pod is removed, and every output reports it and says what to change. After that change one pod is
// removed.
func TestScaleDownBlocked(t *testing.T) {
	t.Parallel()
	p := pools{stage(t), t}
	ctx := within(t, 10*time.Minute)
	pool := func(replicas int64, edit func(spec map[string]any)) {
		p.apply(ctx, "mute", func(spec map[string]any) {
			delete(spec, "runtime")
			spec["minReplicas"], spec["maxReplicas"], spec["drainSeconds"] = replicas, int64(2), int64(10)
			spec["podTemplate"] = map[string]any{"spec": map[string]any{"containers": []any{map[string]any{
				"name": "worker", "command": []any{"/bin/sh", "-c", silentWorker},
			}}}}
			scaling(spec, "idleSeconds", int64(5))
			edit(spec)
		})
	}
	pool(2, func(map[string]any) {})
	p.pods("mute", 2)
	must(t, p.SubmitTo(ctx, "mute", jobs("mute", 1, time.Second)))
	eventually(t, 2*time.Minute, func(ctx context.Context) error {
		q, err := p.QueueOf(ctx, "mute")
		if err == nil && q.Running != 1 {
			err = fmt.Errorf("the queue is %+v, want a running job", q)
		}
		return err
	})
	since := time.Now()
	pool(1, func(map[string]any) {})
	p.reports("mute", since, trouble{
		condition: v1alpha1.ConditionScaleDownBlocked, reason: "Unknown",
		title: "Fewer pods would do, but it is not known which can be removed without cutting off a job.",
	})
	p.advised("mute", "If workers finish their jobs on SIGTERM, set scaling.podRemoval to Graceful.")
	p.pods("mute", 2)

	pool(1, func(spec map[string]any) { scaling(spec, "podRemoval", "Graceful") })
	p.pods("mute", 1)
	p.condition("mute", v1alpha1.ConditionScaleDownBlocked, "False")
}
