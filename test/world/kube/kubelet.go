package kube

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kubelet handles one pod on its node, from its binding to its end.
func (n *Nodes) kubelet(ctx context.Context, st *podState) {
	defer n.forget(st)
	if !n.heard(ctx, st) {
		return
	}
	if !n.wait(ctx, st, n.between(st.key.Name, 100*time.Millisecond, 600*time.Millisecond)) || !n.pull(ctx, st) ||
		!n.wait(ctx, st, n.between(st.key.Name, n.Boot.Least, n.Boot.Most)) {
		n.finish(ctx, st)
		return
	}
	for life := int32(0); ; life++ {
		began := time.Now()
		if !n.live(ctx, st, life) {
			break
		}
		if !n.restart(ctx, st, life, time.Since(began)) {
			break
		}
	}
	n.finish(ctx, st)
}

// heard waits until the node learns of the pod, which a silent node doesn't. It returns false if
// the pod is gone before.
func (n *Nodes) heard(ctx context.Context, st *podState) bool {
	for n.silent(st) {
		if !sleep(ctx, n.between(st.key.Name, 900*time.Millisecond, 1100*time.Millisecond)) {
			return false
		}
		if o, err := n.server.read(KindPod, st.key); err != nil || o.GetUID() != st.uid {
			return false
		}
	}
	return true
}

// wait sleeps, and returns false if the pod must end.
func (n *Nodes) wait(ctx context.Context, st *podState, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-st.deleted:
	}
	return false
}

func (n *Nodes) waiting(st *podState, reason string, restarts int32) {
	n.report(st, func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{
			{
				Name: "worker", RestartCount: restarts,
				State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}},
			},
		}
		setCondition(p, st.node.now(), corev1.PodReady, corev1.ConditionFalse, "ContainersNotReady")
	})
}

// report writes a status, unless the node is silent.
func (n *Nodes) report(st *podState, change func(*corev1.Pod)) {
	if !n.silent(st) {
		n.status(st.key, st.uid, change)
	}
}

func (n *Nodes) silent(st *podState) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return st.node.silent
}

// pull pulls the image. A node that can't pull tries again at growing intervals.
func (n *Nodes) pull(ctx context.Context, st *podState) bool {
	n.waiting(st, "ContainerCreating", 0)
	for backoff := 10 * time.Second; ; backoff = min(2*backoff, 5*time.Minute) {
		if !n.wait(ctx, st, n.between(st.key.Name, n.Pull.Least, n.Pull.Most)) {
			return false
		}
		n.mu.Lock()
		bad := st.node.badImages
		n.mu.Unlock()
		if !bad {
			return true
		}
		n.waiting(st, "ErrImagePull", 0)
		if !n.wait(ctx, st, n.between(st.key.Name, time.Second, 2*time.Second)) {
			return false
		}
		n.waiting(st, "ImagePullBackOff", 0)
		if !n.wait(ctx, st, backoff) {
			return false
		}
	}
}

// live runs the container until it ends by itself (true) or has been ended.
func (n *Nodes) live(ctx context.Context, st *podState, life int32) bool {
	o, err := n.server.read(KindPod, st.key)
	if err != nil || o.GetUID() != st.uid {
		return false
	}
	if !n.heard(ctx, st) {
		return false
	}
	st.process = n.start(o.(*corev1.Pod))
	n.report(st, func(p *corev1.Pod) {
		p.Status.Phase, p.Status.PodIP = corev1.PodRunning, "10.1.0.1"
		p.Status.ContainerStatuses = []corev1.ContainerStatus{
			{
				Name: "worker", RestartCount: life,
				State: corev1.ContainerState{
					Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(st.node.now())},
				},
			},
		}
	})
	ready := false
	for {
		t := time.NewTimer(n.between(st.key.Name, 900*time.Millisecond, 1100*time.Millisecond))
		select {
		case <-st.process.Done():
			t.Stop()
			return true
		case <-st.deleted:
			t.Stop()
			n.terminate(ctx, st)
			return false
		case <-ctx.Done():
			t.Stop()
			st.process.Kill()
			<-st.process.Done()
			return false
		case <-t.C:
		}
		if now := st.process.Ready(); now != ready && !n.silent(st) {
			ready = now
			n.setReady(st, ready)
		}
	}
}

func (n *Nodes) setReady(st *podState, ready bool) {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	n.report(st, func(p *corev1.Pod) { setCondition(p, st.node.now(), corev1.PodReady, status, "") })
}

// terminate ends the container: SIGTERM, the grace period, SIGKILL. A silent node learns of the
// deletion when it is back.
func (n *Nodes) terminate(ctx context.Context, st *podState) {
	for n.silent(st) {
		if !sleep(ctx, n.between(st.key.Name, 900*time.Millisecond, 1100*time.Millisecond)) {
			break
		}
	}
	_ = sleep(ctx, n.between(st.key.Name, 2*time.Millisecond, 300*time.Millisecond))
	grace := 30 * time.Second
	if o, err := n.server.read(KindPod, st.key); err == nil && o.GetUID() == st.uid &&
		o.GetDeletionGracePeriodSeconds() != nil {
		grace = time.Duration(*o.GetDeletionGracePeriodSeconds()) * time.Second
	}
	st.process.Terminate()
	t := time.NewTimer(grace)
	defer t.Stop()
	for ready := true; ; {
		probe := time.NewTimer(n.between(st.key.Name, 900*time.Millisecond, 1100*time.Millisecond))
		select {
		case <-st.process.Done():
			probe.Stop()
			return
		case <-probe.C:
			if ready && !st.process.Ready() {
				ready = false
				n.setReady(st, false)
			}
			continue
		case <-t.C:
			n.trace("kubelet kills %s after %s of grace", st.key.Name, grace)
		case <-ctx.Done():
		}
		probe.Stop()
		st.process.Kill()
		<-st.process.Done()
		return
	}
}

// restart waits for the back-off of a container that ended by itself, and returns false if the pod
// must end.
func (n *Nodes) restart(ctx context.Context, st *podState, life int32, lasted time.Duration) bool {
	backoff := time.Duration(0)
	if life > 0 && lasted < 10*time.Minute {
		backoff = min(10*time.Second<<min(life-1, 5), 5*time.Minute)
	}
	reason := "CrashLoopBackOff"
	if backoff == 0 {
		reason = "ContainerCreating"
	}
	n.trace("container of %s ended by itself, life %d", st.key.Name, life)
	n.waiting(st, reason, life+1)
	return n.wait(ctx, st, backoff+n.between(st.key.Name, 200*time.Millisecond, time.Second))
}

// finish removes the pod from the API server once it was marked and its container has ended.
func (n *Nodes) finish(ctx context.Context, st *podState) {
	if !sleep(ctx, n.between(st.key.Name, 50*time.Millisecond, 500*time.Millisecond)) {
		return
	}
	for n.silent(st) || n.server.Weather.Down() {
		if !sleep(ctx, n.between(st.key.Name, time.Second, 2*time.Second)) {
			return
		}
	}
	if o, err := n.server.read(KindPod, st.key); err == nil && o.GetUID() == st.uid {
		if err := n.server.remove(KindPod, st.key); err != nil {
			n.trace("remove pod: %v", fmt.Errorf("%s: %w", st.key.Name, err))
		}
	}
}
