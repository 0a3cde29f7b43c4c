package kube

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// expectFor is how long a ReplicaSet waits until its cache shows its own changes.
const expectFor = 5 * time.Minute

// manage creates or deletes pods until there are as many as the ReplicaSet should have. It returns
// when to check again, or 0 for the next event.
func (w *Workloads) manage(
	ctx context.Context, d *appsv1.Deployment, rs *replicaSet, pods []*corev1.Pod,
) time.Duration {
	if !rs.expected(pods) && time.Since(rs.expectedAt) < expectFor {
		return 0
	}
	pods = slices.DeleteFunc(slices.Clone(pods), func(p *corev1.Pod) bool { return !active(p) })
	n := int(rs.replicas) - len(pods)
	rs.expectedAt = time.Now()
	switch {
	case n > 0:
		return w.createPods(ctx, d, rs, min(n, 500))
	case n < 0:
		rs.failure = ""
		for _, p := range w.chosen(pods, min(-n, 500)) {
			if !sleep(ctx, w.between(d.Name, 500*time.Microsecond, 3*time.Millisecond)) {
				return 0
			}
			rs.deleting[p.Name] = true
			if w.server.delete(KindPod, keyOf(p)) != nil {
				delete(rs.deleting, p.Name) // somebody else did it
			}
		}
	default:
		rs.failure, rs.slow = "", 0
	}
	return 0
}

// expected reports whether the cache shows all of the ReplicaSet's own changes.
func (rs *replicaSet) expected(pods []*corev1.Pod) bool {
	present := map[string]*corev1.Pod{}
	for _, p := range pods {
		present[p.Name] = p
		delete(rs.creating, p.Name)
	}
	for name := range rs.deleting {
		if p := present[name]; p == nil || p.DeletionTimestamp != nil {
			delete(rs.deleting, name)
		}
	}
	return len(rs.creating) == 0 && len(rs.deleting) == 0
}

// createPods creates one pod, then two at once, then four, and stops at the first that is refused.
func (w *Workloads) createPods(ctx context.Context, d *appsv1.Deployment, rs *replicaSet, n int) time.Duration {
	for batch := 1; n > 0; batch *= 2 {
		if !sleep(ctx, w.between(d.Name, time.Millisecond, 6*time.Millisecond)) {
			return 0
		}
		for range min(batch, n) {
			p := w.newPod(d, rs)
			if err := w.createPod(p); err != nil {
				rs.failure = err.Error()
				rs.slow = min(max(2*rs.slow, time.Second), 5*time.Minute)
				return rs.slow + w.between(d.Name, 0, 50*time.Millisecond)
			}
			rs.creating[p.Name] = true
			n--
		}
	}
	rs.failure, rs.slow = "", 0
	return 0
}

func (w *Workloads) createPod(p *corev1.Pod) error {
	w.mu.Lock()
	quota := w.quota
	w.mu.Unlock()
	if used := len(w.server.list(KindPod)); quota > 0 && used >= quota {
		return fmt.Errorf(
			"pods %q is forbidden: exceeded quota: pods, requested: pods=1, used: pods=%d, limited: pods=%d", p.Name,
			used, quota,
		)
	}
	_, err := w.server.create(p)
	return err
}

func (w *Workloads) newPod(d *appsv1.Deployment, rs *replicaSet) *corev1.Pod {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	suffix := make([]byte, 5)
	for i := range suffix {
		suffix[i] = letters[w.dice.Uint64(rs.name)%uint64(len(letters))]
	}
	p := &corev1.Pod{ObjectMeta: *rs.template.ObjectMeta.DeepCopy(), Spec: *rs.template.Spec.DeepCopy()}
	p.Namespace, p.Name = d.Namespace, rs.name+"-"+string(suffix)
	if p.Labels == nil {
		p.Labels = map[string]string{}
	}
	p.Labels["pod-template-hash"], p.Labels[DeploymentLabel] = rs.hash, d.Name
	p.OwnerReferences = []metav1.OwnerReference{
		{
			APIVersion: "apps/v1", Kind: "ReplicaSet", Name: rs.name, UID: rs.uid, Controller: new(true),
			BlockOwnerDeletion: new(true),
		},
	}
	p.Status.Phase = corev1.PodPending
	if len(p.Spec.SchedulingGates) > 0 {
		setCondition(p, w.server.now(), corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonSchedulingGated)
	}
	return p
}

// chosen returns the n pods that Kubernetes 1.37 removes first.
func (w *Workloads) chosen(pods []*corev1.Pod, n int) []*corev1.Pod {
	if n >= len(pods) {
		return pods
	}
	perNode := map[string]int{}
	for _, p := range pods {
		perNode[p.Spec.NodeName]++
	}
	now := time.Now()
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return deletionOrder(a, b, perNode, now) })
	return pods[:n]
}

func deletionOrder(a, b *corev1.Pod, perNode map[string]int, now time.Time) int {
	phase := map[corev1.PodPhase]int{corev1.PodPending: 0, corev1.PodUnknown: 1, corev1.PodRunning: 2}
	no := func(a, b bool) int { return boolInt(a) - boolInt(b) }
	if c := cmp.Or(
		no(a.Spec.NodeName != "", b.Spec.NodeName != ""),
		phase[a.Status.Phase]-phase[b.Status.Phase],
		no(isReady(a), isReady(b)),
		cmp.Compare(costOf(a), costOf(b)),
		-cmp.Compare(perNode[a.Spec.NodeName], perNode[b.Spec.NodeName]), // from the fuller node first
	); c != 0 {
		return c
	}
	if isReady(a) {
		if c := youngerFirst(readySince(a), readySince(b), now, a, b); c != 0 {
			return c
		}
	}
	if c := -cmp.Compare(restarts(a), restarts(b)); c != 0 {
		return c
	}
	return youngerFirst(a.CreationTimestamp.Time, b.CreationTimestamp.Time, now, a, b)
}

// youngerFirst compares ages by their order of magnitude only. Within one, the uid decides.
func youngerFirst(a, b, now time.Time, pa, pb *corev1.Pod) int {
	if a.Equal(b) {
		return 0
	}
	magnitude := func(t time.Time) int64 {
		d := now.Sub(t)
		if d <= 0 {
			return -1
		}
		return int64(math.Log2(float64(d)))
	}
	return cmp.Or(cmp.Compare(magnitude(a), magnitude(b)), cmp.Compare(pa.UID, pb.UID))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func costOf(p *corev1.Pod) int64 {
	n, err := strconv.ParseInt(p.Annotations["controller.kubernetes.io/pod-deletion-cost"], 10, 32)
	if err != nil {
		return 0
	}
	return n
}

func readySince(p *corev1.Pod) time.Time {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}

func restarts(p *corev1.Pod) (n int32) {
	for _, c := range p.Status.ContainerStatuses {
		n = max(n, c.RestartCount)
	}
	return n
}

func setCondition(
	p *corev1.Pod, now time.Time, kind corev1.PodConditionType, status corev1.ConditionStatus, reason string,
) {
	next := corev1.PodCondition{
		Type: kind, Status: status, Reason: reason, LastTransitionTime: metav1.NewTime(now).Rfc3339Copy(),
	}
	for i, c := range p.Status.Conditions {
		if c.Type == kind {
			if c.Status == status {
				next.LastTransitionTime = c.LastTransitionTime
			}
			p.Status.Conditions[i] = next
			return
		}
	}
	p.Status.Conditions = append(p.Status.Conditions, next)
}
