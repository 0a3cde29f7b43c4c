package apiserver

import (
	"context"
	"errors"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// workerBinary builds the worker runtime once.
var workerBinary = sync.OnceValues(func() (string, error) { return build("worker") })

// kubelet acts as the kubelet for the pods of a pool: each is a process of the real worker runtime
// on this machine. It stops processes and waits for them as a kubelet does.
type kubelet struct {
	t      *testing.T
	pool   *v1alpha1.GearmanWorkerPool
	server string
	binary string
	mode   string   // of the runtime
	args   []string // of the runtime, after the arguments that every pod has

	processes sync.WaitGroup
	pods      map[types.UID]*exec.Cmd
}

// startKubelet runs a kubelet until the test ends. Its jobs sleep for the seconds that are their
// workload.
func startKubelet(t *testing.T, p *v1alpha1.GearmanWorkerPool, server string) {
	t.Helper()
	startKubeletOf(t, p, server, "exec", "--", "/bin/sh", "-c", "read -r seconds; sleep $seconds")
}

// startKubeletOf runs a kubelet until the test ends. Its pods have the runtime's mode and
// arguments.
func startKubeletOf(t *testing.T, p *v1alpha1.GearmanWorkerPool, server, mode string, args ...string) {
	t.Helper()
	binary, err := workerBinary()
	if err != nil {
		t.Fatal(err)
	}
	k := &kubelet{
		// This is a copy, since tests change their pool.
		t: t, pool: p.DeepCopy(), server: server, binary: binary, mode: mode, args: args,
		pods: map[types.UID]*exec.Cmd{},
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := k.look(ctx); err != nil && ctx.Err() == nil {
				t.Logf("kubelet: %v", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
		for _, cmd := range k.pods {
			_ = cmd.Process.Kill()
		}
		k.processes.Wait()
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
}

func (k *kubelet) look(ctx context.Context) error {
	var list corev1.PodList
	if err := k8s.List(
		ctx, &list, client.InNamespace(k.pool.Namespace), client.MatchingLabels{v1alpha1.LabelPool: k.pool.Name},
	); err != nil {
		return err
	}
	var errs []error
	for i := range list.Items {
		pod := &list.Items[i]
		cmd, known := k.pods[pod.UID]
		switch {
		case known && pod.DeletionTimestamp != nil:
			// The process is signaled only once, because another signal would be the second one.
			// After the process's end a signal returns ESRCH.
			if pod.Annotations["stopped"] == "" {
				errs = append(errs, k.stop(ctx, pod, cmd))
			}
		case !known && pod.DeletionTimestamp == nil:
			errs = append(errs, k.start(ctx, pod))
		case !known:
			errs = append(errs, k.remove(ctx, pod))
		}
	}
	return errors.Join(errs...)
}

func (k *kubelet) start(ctx context.Context, pod *corev1.Pod) error {
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		Target:     corev1.ObjectReference{Kind: "Node", Name: "here"},
	}
	if err := k8s.SubResource("binding").Create(ctx, pod, binding); err != nil {
		return err
	}
	common := []string{
		k.mode, "--server=" + k.server, "--function=" + string(k.pool.Spec.Function), "--listen=127.0.0.1:0",
		"--drain-timeout=60s",
	}
	cmd := exec.Command(k.binary, append(common, k.args...)...)
	cmd.Env = append(cmd.Environ(), "GEARMAN_WORKER_POD_UID="+string(pod.UID), "GEARMAN_WORKER_POD_NAME="+pod.Name)
	if err := cmd.Start(); err != nil {
		return err
	}
	k.pods[pod.UID] = cmd
	k.processes.Go(func() {
		_ = cmd.Wait()
		_ = k.remove(context.Background(), pod)
	})
	if err := k8s.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
		return err
	}
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1", Conditions: []corev1.PodCondition{
		{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()},
	}}
	return k8s.Status().Update(ctx, pod)
}

// stop makes the process finish its job. When it ends, the pod is removed.
func (k *kubelet) stop(ctx context.Context, pod *corev1.Pod, cmd *exec.Cmd) error {
	mark := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"stopped":"yes"}}}`))
	if err := k8s.Patch(ctx, pod, mark); err != nil {
		return client.IgnoreNotFound(err)
	}
	return cmd.Process.Signal(syscall.SIGTERM)
}

func (k *kubelet) remove(ctx context.Context, pod *corev1.Pod) error {
	return client.IgnoreNotFound(
		k8s.Delete(ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID}),
	)
}
