//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/test/cluster"
)

// onVolume puts a pool's program on a volume of each pod, where a test can remove it. The shell
// command prepare copies it to /app/job.
func onVolume(spec map[string]any, prepare string) {
	mount := map[string]any{"name": "app", "mountPath": "/app"}
	script := map[string]any{"name": "script", "mountPath": "/script"}
	spec["podTemplate"] = map[string]any{"spec": map[string]any{
		"initContainers": []any{map[string]any{
			"name": "app", "image": "gearman-demo:demo", "imagePullPolicy": "IfNotPresent",
			"command": []any{"/bin/sh", "-c", prepare}, "volumeMounts": []any{mount, script},
		}},
		"containers": []any{map[string]any{
			"name": "worker", "volumeMounts": []any{mount, script},
			"env": []any{map[string]any{"name": "PATH", "value": "/app/bin:/bin"}},
		}},
		"volumes": []any{
			map[string]any{"name": "app", "emptyDir": map[string]any{}},
			map[string]any{"name": "script", "configMap": map[string]any{"name": "script"}},
		},
	}}
}

// moves moves a file in a pod's container.
func (p pools) moves(ctx context.Context, pod, from, to string) {
	p.t.Helper()
	_, err := p.Exec(ctx, p.Namespace, pod, "worker", "/bin/busybox", "mv", from, to)
	must(p.t, err)
}

// breaker waits until a worker reports this state of its breaker.
func (p pools) breaker(pod, function, state string) {
	p.t.Helper()
	want := fmt.Sprintf("gearman_worker_breaker{function=%q,state=%q} 1", function, state)
	eventually(p.t, 5*time.Minute, func(ctx context.Context) error {
		got, err := p.API.CoreV1().Pods(p.Namespace).ProxyGet("http", pod, "4790", "/metrics", nil).DoRaw(ctx)
		if err == nil && !strings.Contains(string(got), want) {
			err = fmt.Errorf("the metrics of pod %s lack %s", pod, want)
		}
		return err
	})
}

// killStream kills the processes of a pool in stream mode, whatever they are doing.
const killStream = `for p in /proc/[0-9]*; do
  case "$(tr '\0' ' ' <$p/cmdline 2>/dev/null)" in "/bin/sh /app/job "*) kill -9 ${p#/proc/};; esac
done`

// TestCommandTakenAway: a pool's program is removed while jobs are queued: a command from one of
// two pods, and a script in stream mode, with retries, from the only pod. No job is lost or fails.
// The breakers open and WorkersUnfit names the pods, until the program is back. Another pool is not
// affected.
func TestCommandTakenAway(t *testing.T) {
	t.Parallel()
	p := pools{stage(t), t}
	ctx := within(t, 12*time.Minute)
	stream, err := os.ReadFile(filepath.Join(cluster.Root(), "examples", "shell", "gearman-stream.sh"))
	must(t, err)
	must(t, p.Client.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: "script"},
		Data: map[string]string{
			"job": "job() { /bin/reverse; }\n. /script/gearman-stream.sh\n", "gearman-stream.sh": string(stream),
		},
	}))
	fixed := func(spec map[string]any, replicas int64) {
		spec["minReplicas"], spec["maxReplicas"], spec["concurrency"] = replicas, replicas, int64(2)
	}
	p.apply(ctx, "healthy", func(spec map[string]any) { fixed(spec, 1) })
	p.apply(ctx, "command", func(spec map[string]any) {
		fixed(spec, 2)
		spec["runtime"] = map[string]any{"exec": map[string]any{"command": []any{"/app/job"}}}
		onVolume(spec, "/bin/busybox cp /bin/reverse /app/job")
	})
	p.apply(ctx, "script", func(spec map[string]any) {
		fixed(spec, 1)
		spec["runtime"] = map[string]any{
			"stream": map[string]any{"command": []any{"/bin/sh", "/app/job"}},
			"retry":  map[string]any{"attempts": int64(5), "backoffSeconds": int64(1)},
		}
		onVolume(spec, "cd /app; b=/bin/busybox; $b mkdir bin; $b --install -s bin; $b cp /script/job job")
	})
	commands, scripts := p.pods("command", 2), p.pods("script", 1)
	p.pods("healthy", 1)
	broken, other := commands[0], commands[1]

	healthy, command := jobs("healthy", 40, time.Second), jobs("command", 40, time.Second)
	script := jobs("script", 8, 2*time.Second)
	must(t, p.SubmitTo(ctx, "healthy", healthy))
	must(t, p.SubmitTo(ctx, "command", command))
	must(t, p.SubmitTo(ctx, "script", script))
	p.began(command)
	p.began(script)
	p.moves(ctx, broken, "/app/job", "/app/gone")
	p.moves(ctx, scripts[0], "/app/job", "/app/gone")
	_, err = p.Exec(ctx, p.Namespace, scripts[0], "worker", "/bin/sh", "-c", killStream)
	must(t, err)
	// However long the breakers took, jobs are queued now.
	moreCommands, moreScripts := jobs("command-more", 20, time.Second), jobs("script-more", 8, time.Second)
	must(t, p.SubmitTo(ctx, "command", moreCommands))
	must(t, p.SubmitTo(ctx, "script", moreScripts))
	command, script = append(command, moreCommands...), append(script, moreScripts...)

	p.breaker(broken, "command", "open")
	p.breaker(scripts[0], "script", "open")
	for name, pod := range map[string]string{"command": broken, "script": scripts[0]} {
		c := p.condition(name, v1alpha1.ConditionWorkersUnfit, "True")
		if c.Reason != "JobsNotStarting" || !strings.Contains(c.Message, pod) || strings.Contains(c.Message, other) {
			t.Errorf("pool %s: WorkersUnfit is %s: %s; want JobsNotStarting and pod %s", name, c.Reason, c.Message, pod)
		}
	}
	p.pods("command", 1) // the worker without a command is not ready
	p.pods("script", 0)
	p.condition("healthy", v1alpha1.ConditionWorkersUnfit, "False")

	p.moves(ctx, broken, "/app/gone", "/app/job")
	p.moves(ctx, scripts[0], "/app/gone", "/app/job")
	p.breaker(broken, "command", "closed")
	p.breaker(scripts[0], "script", "closed")
	for _, name := range []string{"command", "script"} {
		p.condition(name, v1alpha1.ConditionWorkersUnfit, "False")
		p.condition(name, v1alpha1.ConditionReady, "True")
	}
	allRanOnce(t, p.Stage, healthy, 3*time.Minute)
	allRanOnce(t, p.Stage, command, 3*time.Minute)
	// The jobs whose process was killed run again; the others have run once.
	eventually(t, 5*time.Minute, func(ctx context.Context) error {
		runs, err := p.Runs(ctx)
		if err != nil {
			return err
		}
		if c := cluster.CountRuns(script, runs); c.Completed < len(script) || c.RunTwice > 2 || c.Interrupted > 2 {
			return fmt.Errorf("%d jobs in stream mode: %+v", len(script), c)
		}
		return nil
	})
}
