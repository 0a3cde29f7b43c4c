package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/test/world/dice"
)

// Workloads simulates the Deployment, ReplicaSet and StatefulSet controllers and the garbage
// collector. It sees Deployments, StatefulSets and pods through a cache of its own.
type Workloads struct {
	server *Server
	cache  *Cache
	dice   *dice.Dice
	quota  int // pods in total; 0: no quota

	mu     sync.Mutex
	dirty  map[types.NamespacedName]time.Time // when to check each
	wake   chan struct{}
	states map[types.NamespacedName]*deploymentState // used by run only
	names  int
}

type deploymentState struct {
	uid  types.UID
	sets []*replicaSet
}

// replicaSet is not stored, because the operator does not read ReplicaSets.
type replicaSet struct {
	uid      types.UID
	name     string
	hash     string
	template corev1.PodTemplateSpec
	replicas int32
	// The changes that the controller's cache does not show yet.
	creating, deleting map[string]bool
	expectedAt         time.Time
	failure            string
	slow               time.Duration // back-off after a refused pod
}

// NewWorkloads returns the controllers of an API server.
func NewWorkloads(s *Server, seed uint64) *Workloads {
	w := &Workloads{
		server: s, dice: dice.New(seed), dirty: map[types.NamespacedName]time.Time{}, wake: make(chan struct{}, 1),
		states: map[types.NamespacedName]*deploymentState{},
	}
	w.cache = NewCache(s, map[client.Object]cache.ByObject{}, func(kind string) time.Duration {
		return s.Weather.Between("controllers "+kind, time.Millisecond, 40*time.Millisecond)
	})
	return w
}

// SetQuota bounds the pods that the API server admits; 0 is no bound.
func (w *Workloads) SetQuota(pods int) {
	w.mu.Lock()
	w.quota = pods
	w.mu.Unlock()
}

// Run runs the controllers until ctx ends.
func (w *Workloads) Run(ctx context.Context) {
	ofWorkload := func(o any) {
		switch d := o.(type) {
		case *appsv1.Deployment:
			w.mark(keyOf(d), 0)
		case *appsv1.StatefulSet:
			w.mark(keyOf(d), 0)
		}
	}
	ofPod := func(o any) {
		if p, ok := o.(*corev1.Pod); ok && p.Labels[DeploymentLabel] != "" {
			w.mark(types.NamespacedName{Namespace: p.Namespace, Name: p.Labels[DeploymentLabel]}, 0)
		}
	}
	for kind, f := range map[string]func(any){
		KindDeployment: ofWorkload, KindStatefulSet: ofWorkload, KindPod: ofPod,
	} {
		_, _ = w.cache.informer(kind).AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: f, UpdateFunc: func(_, o any) { f(o) }, DeleteFunc: f,
		})
	}
	_, _ = w.cache.informer(KindPool).AddEventHandler(
		toolscache.ResourceEventHandlerFuncs{DeleteFunc: func(o any) { w.orphaned(o.(client.Object)) }},
	)
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.cache.Start(ctx) })
	defer wg.Wait()
	for ctx.Err() == nil {
		key, wait := w.next()
		if wait > 0 {
			t := time.NewTimer(wait)
			select {
			case <-ctx.Done():
			case <-w.wake:
			case <-t.C:
			}
			t.Stop()
			continue
		}
		for w.server.Weather.Down() && sleep(ctx, w.between("back", 100*time.Millisecond, 500*time.Millisecond)) {
			continue
		}
		if sleep(ctx, w.between(key.Name, 2*time.Millisecond, 15*time.Millisecond)) {
			w.sync(ctx, key)
		}
	}
}

func (w *Workloads) between(name string, least, most time.Duration) time.Duration {
	return w.dice.Between(name, least, most)
}

// DeploymentLabel names the Deployment that a pod was created for. Only the world uses it.
const DeploymentLabel = "world/deployment"

// mark schedules a check of a Deployment after a while.
func (w *Workloads) mark(key types.NamespacedName, after time.Duration) {
	at := time.Now().Add(after)
	w.mu.Lock()
	if old, ok := w.dirty[key]; !ok || at.Before(old) {
		w.dirty[key] = at
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Workloads) next() (types.NamespacedName, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var first types.NamespacedName
	at := time.Now().Add(time.Hour)
	for key, t := range w.dirty {
		if t.Before(at) || t.Equal(at) && key.String() < first.String() {
			first, at = key, t
		}
	}
	wait := time.Until(at)
	if wait <= 0 {
		delete(w.dirty, first)
	}
	return first, wait
}

func (w *Workloads) sync(ctx context.Context, key types.NamespacedName) {
	if w.syncSet(ctx, key) {
		return
	}
	d, _ := w.cache.informer(KindDeployment).get(key).(*appsv1.Deployment)
	st := w.states[key]
	if st != nil && (d == nil || d.UID != st.uid) {
		w.collect(ctx, key, st)
		delete(w.states, key)
		st = nil
	}
	if d == nil {
		return
	}
	if st == nil {
		st = &deploymentState{uid: d.UID}
		w.states[key] = st
	}
	if owner := metav1.GetControllerOf(d); owner != nil {
		pool, err := w.server.read(KindPool, types.NamespacedName{Namespace: d.Namespace, Name: owner.Name})
		if err != nil || pool.GetUID() != owner.UID {
			_ = w.server.delete(KindDeployment, key) // its owner is gone; somebody else may have deleted it
			return
		}
	}
	current := w.setOf(d, st)
	pods := w.podsOf(key, st)
	rollOut(d, st, current, pods)
	for _, rs := range st.sets {
		if after := w.manage(ctx, d, rs, pods[rs.uid]); after > 0 {
			w.mark(key, after)
		}
	}
	st.sets = slices.DeleteFunc(
		st.sets, func(rs *replicaSet) bool { return rs != current && rs.replicas == 0 && len(pods[rs.uid]) == 0 },
	)
	w.writeStatus(key, d, st, current, pods)
}

// orphaned is the garbage collector: it deletes the Deployment of a deleted pool.
func (w *Workloads) orphaned(pool client.Object) {
	d, err := w.server.read(KindDeployment, keyOf(pool))
	if err != nil {
		return // gone already
	}
	if owner := metav1.GetControllerOf(d); owner != nil && owner.UID == pool.GetUID() {
		_ = w.server.delete(KindDeployment, keyOf(d)) // gone already
	}
}

// collect deletes the pods of a Deployment that is gone.
func (w *Workloads) collect(ctx context.Context, key types.NamespacedName, st *deploymentState) {
	for _, of := range w.podsOf(key, st) {
		for _, p := range of {
			if !sleep(ctx, w.between(key.Name, 2*time.Millisecond, 10*time.Millisecond)) {
				return
			}
			_ = w.server.delete(KindPod, keyOf(p)) // gone already
		}
	}
}

func (w *Workloads) podsOf(key types.NamespacedName, st *deploymentState) map[types.UID][]*corev1.Pod {
	out := map[types.UID][]*corev1.Pod{}
	all, _ := w.cache.informer(KindPod).list(&client.ListOptions{Namespace: key.Namespace})
	for _, o := range all {
		p := o.(*corev1.Pod)
		owner := metav1.GetControllerOfNoCopy(p)
		if owner != nil && slices.ContainsFunc(st.sets, func(rs *replicaSet) bool { return rs.uid == owner.UID }) {
			out[owner.UID] = append(out[owner.UID], p)
		}
	}
	return out
}

// setOf returns the ReplicaSet of the current template.
func (w *Workloads) setOf(d *appsv1.Deployment, st *deploymentState) *replicaSet {
	raw, err := json.Marshal(d.Spec.Template)
	if err != nil {
		panic(err) // it came from JSON
	}
	h := fnv.New32a()
	h.Write(raw)
	hash := fmt.Sprintf("%08x", h.Sum32())
	for _, rs := range st.sets {
		if rs.hash == hash {
			return rs
		}
	}
	w.names++
	rs := &replicaSet{
		uid: types.UID(fmt.Sprintf("5e700000-0000-4000-8000-%012x", w.names)), name: d.Name + "-" + hash, hash: hash,
		template: *d.Spec.Template.DeepCopy(),
		creating: map[string]bool{}, deleting: map[string]bool{},
	}
	st.sets = append(st.sets, rs)
	return rs
}

// rollOut sets the sizes of the ReplicaSets: all pods on the current template, or the next step
// from older ones to it.
func rollOut(d *appsv1.Deployment, st *deploymentState, current *replicaSet, pods map[types.UID][]*corev1.Pod) {
	want := *d.Spec.Replicas
	var old, available int32
	for _, rs := range st.sets {
		if rs != current {
			old += rs.replicas
		}
		for _, p := range pods[rs.uid] {
			if active(p) && isReady(p) {
				available++
			}
		}
	}
	if old == 0 {
		current.replicas = want
		return
	}
	surge := (want + 3) / 4 // 25%, rounded up; no pod may be missing meanwhile
	current.replicas = min(want, max(current.replicas, 0)+max(0, want+surge-old-current.replicas))
	spare := old + current.replicas - want
	if ready := available - want; ready < spare {
		spare = ready + unready(st, current, pods)
	}
	for _, rs := range st.sets {
		if rs != current && spare > 0 {
			n := min(spare, rs.replicas)
			rs.replicas -= n
			spare -= n
		}
	}
}

// unready counts the pods of older templates that aren't ready: a rollout replaces them first.
func unready(st *deploymentState, current *replicaSet, pods map[types.UID][]*corev1.Pod) (n int32) {
	for _, rs := range st.sets {
		if rs == current {
			continue
		}
		for _, p := range pods[rs.uid] {
			if active(p) && !isReady(p) {
				n++
			}
		}
	}
	return n
}

func active(p *corev1.Pod) bool { return p.DeletionTimestamp == nil && !ended(p) }

func isReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func (w *Workloads) writeStatus(
	key types.NamespacedName, d *appsv1.Deployment, st *deploymentState, current *replicaSet,
	pods map[types.UID][]*corev1.Pod,
) {
	s := appsv1.DeploymentStatus{ObservedGeneration: d.Generation}
	failure := ""
	for _, rs := range st.sets {
		for _, p := range pods[rs.uid] {
			if !active(p) {
				continue
			}
			s.Replicas++
			if rs == current {
				s.UpdatedReplicas++
			}
			if isReady(p) {
				s.ReadyReplicas++
				s.AvailableReplicas++
			}
		}
		if rs.failure != "" {
			failure = rs.failure
		}
	}
	s.UnavailableReplicas = max(0, *d.Spec.Replicas-s.AvailableReplicas)
	if failure != "" {
		s.Conditions = []appsv1.DeploymentCondition{
			{
				Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate",
				Message: failure,
			},
		}
	}
	_, _ = w.server.update(KindDeployment, key, func(o client.Object) (client.Object, error) { // gone already
		if o.GetUID() == d.UID {
			o.(*appsv1.Deployment).Status = s
		}
		return o, nil
	})
}
