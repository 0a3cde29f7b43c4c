//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// TestPodDeleted: a busy pod is deleted, as by kubectl delete pod or a node's drain. At the
// kubelet's SIGTERM it takes no more jobs, finishes its current job, and exits with 0 within its
// grace period. All this happens under the restricted Pod Security Standard, with a read-only root
// file system and a user that the image does not know.
func TestPodDeleted(t *testing.T) {
	t.Parallel()
	s := stage(t)
	ctx := within(t, 5*time.Minute)
	restrict := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`)
	_, err := live.API.CoreV1().Namespaces().Patch(
		ctx, s.Namespace, types.MergePatchType, restrict, metav1.PatchOptions{},
	)
	must(t, err)
	const user, drain = 54321, 60
	must(t, s.ApplyPool(ctx, func(spec map[string]any) {
		spec["minReplicas"], spec["maxReplicas"], spec["drainSeconds"] = int64(1), int64(3), int64(drain)
		spec["runtime"].(map[string]any)["jobTimeoutSeconds"] = int64(drain - 10)
		spec["podTemplate"] = map[string]any{"spec": map[string]any{
			"securityContext": map[string]any{
				"runAsNonRoot": true, "runAsUser": int64(user), "runAsGroup": int64(user),
			},
			"containers": []any{map[string]any{"name": "worker", "securityContext": map[string]any{
				"readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
				"capabilities": map[string]any{"drop": []any{"ALL"}},
			}}},
		}}
	}))
	ready(t, s, 1, 3*time.Minute)
	w, err := s.Workers(ctx)
	must(t, err)
	pod := w.Pods[0].Name
	status, err := s.Exec(ctx, s.Namespace, pod, "worker", "/bin/cat", "/proc/self/status")
	must(t, err)
	if want := fmt.Sprintf("Uid:\t%d\t", user); !strings.Contains(status, want) {
		t.Errorf("the worker's container has no %q in its status:\n%s", want, status)
	}
	if _, err := s.Exec(ctx, s.Namespace, pod, "worker", "/bin/sh", "-c", "echo >/tmp/x"); err == nil {
		t.Error("the root file system can be written to")
	}

	long := jobs("deleted", 1, 10*time.Second)
	must(t, s.Submit(ctx, long))
	started(t, s, 1, time.Minute)
	pods := live.API.CoreV1().Pods(s.Namespace)
	watcher, err := pods.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + pod})
	must(t, err)
	defer watcher.Stop()
	began := time.Now()
	must(t, pods.Delete(ctx, pod, metav1.DeleteOptions{}))
	after := jobs("after", 3, 100*time.Millisecond)
	must(t, s.Submit(ctx, after))
	last := lastState(ctx, watcher)
	took := time.Since(began)

	if end := workerEnd(last); end == nil || end.ExitCode != 0 {
		t.Errorf("the worker's container ended with %+v, want exit code 0", end)
	}
	// These are events of the hook that keeps a worker that has only just started from missing the
	// signal.
	hooks, err := live.API.CoreV1().Events(s.Namespace).List(
		ctx, metav1.ListOptions{FieldSelector: "reason=FailedPreStopHook"},
	)
	must(t, err)
	if last.Spec.Containers[0].Lifecycle.PreStop == nil || len(hooks.Items) > 0 {
		t.Errorf("the worker's preStop hook is missing or fails: %+v", hooks.Items)
	}
	if took > drain*time.Second {
		t.Errorf("the pod took %v to go, want %d s at most", took, drain)
	}
	allRanOnce(t, s, append(long, after...), 2*time.Minute)
	runs, err := s.Runs(ctx)
	must(t, err)
	for _, r := range runs {
		if its := r.ID == long[0].ID; its != (r.Pod == pod) {
			t.Errorf("job %s ran in pod %s; the deleted one was %s", r.ID, r.Pod, pod)
		}
	}
}

// lastState follows a pod until it is gone, and returns its last known state.
func lastState(ctx context.Context, w watch.Interface) (last *corev1.Pod) {
	for {
		select {
		case <-ctx.Done():
			return last
		case e, ok := <-w.ResultChan():
			if p, isPod := e.Object.(*corev1.Pod); isPod {
				last = p
			}
			if !ok || e.Type == watch.Deleted {
				return last
			}
		}
	}
}

// workerEnd returns how the worker's container ended, according to the pod's status.
func workerEnd(p *corev1.Pod) *corev1.ContainerStateTerminated {
	if p == nil {
		return nil
	}
	for _, c := range p.Status.ContainerStatuses {
		if c.Name == "worker" {
			return c.State.Terminated
		}
	}
	return nil
}
