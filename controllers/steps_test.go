package controllers

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/autoscaler"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

var schemaKind = schema.GroupKind{Group: "apps", Kind: "Deployment"}

func rawTemplate(json string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(json)} }

func badSchedule() *v1alpha1.ScalingSpec {
	return &v1alpha1.ScalingSpec{Schedules: []v1alpha1.Schedule{{Start: "nope"}}}
}

func TestReadWorkload(t *testing.T) {
	t.Parallel()
	p := newPool("p")
	w := newWorld(t, p, ownedBy(t, p, 3))
	x := w.run("p")
	if result, err := w.readWorkload(t.Context(), x); err != nil || !result.IsZero() {
		t.Fatal(result, err)
	}
	if !x.workload.Exists || x.workload.Replicas != 3 || x.facts.Workload.Ready != 3 || x.facts.RollingOut {
		t.Errorf("got %+v", x.workload)
	}
	// The cache is behind our own last write.
	w.pools.Do(x.key, func(p *autoscaler.Pool) {
		p.ObserveReplicas(&x.workload, v1alpha1.ModeAuto, w.clock.Now())
		p.WroteReplicas(7, 2)
	})
	if _, err := w.readWorkload(t.Context(), x); err != nil || x.workload.Replicas != 7 {
		t.Errorf("%v, %d replicas, want the 7 that were written", err, x.workload.Replicas)
	}
}

func TestReadWorkloadWaitsForTheCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newPool("p"))
	x := w.run("p")
	w.pools.Do(
		x.key, func(p *autoscaler.Pool) { p.WroteTemplate(autoscaler.Applied{UID: "d"}, true, false, w.clock.Now()) },
	)
	if result, err := w.readWorkload(t.Context(), x); err != nil || result.RequeueAfter != unseenRetry {
		t.Errorf("got %v, %v; want to wait for the Deployment that was created", result, err)
	}
}

func TestReadPods(t *testing.T) {
	t.Parallel()
	pod := func(name string, mutate func(*corev1.Pod)) client.Object {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "ns", Name: name, Labels: map[string]string{v1alpha1.LabelPool: "p", "app": "web"},
			},
		}
		mutate(p)
		return p
	}
	created := func(s int64) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(time.Unix(1_600_000_000+s, 0)) }
	}
	w := newWorld(
		t, newPool("p"),
		pod("young", created(9)), pod("old", created(1)),
		pod("ended", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
		pod("another's", func(p *corev1.Pod) { p.Labels = nil }),
	)
	x := w.run("p")
	if _, err := w.readPods(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	if len(x.pods) != 2 || x.pods[0].Name != "old" || x.refresh != autoscaler.RefreshEvery {
		t.Errorf("got %+v, again after %v", x.pods, x.refresh)
	}
	w.fail["list"] = errors.New("unavailable")
	if _, err := w.readPods(t.Context(), x); err == nil {
		t.Error("no error")
	}
}

// TestReadTargetPods: a target's pods are read from the API server, and only when its version
// changed, or after a while.
func TestReadTargetPods(t *testing.T) {
	t.Parallel()
	p := newPool("p", func(p *v1alpha1.GearmanWorkerPool) {
		p.Spec.TargetRef = &v1alpha1.TargetRef{Kind: "StatefulSet", Name: "web"}
	})
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: "web-0", Labels: map[string]string{"app": "web"},
		Annotations: map[string]string{workload.DeletionCostAnnotation: "5"},
		OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "web", UID: "s", Controller: new(true)},
		},
	}}
	stranger := pod.DeepCopy()
	stranger.Name, stranger.OwnerReferences = "stranger", nil
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "s"},
		Spec: appsv1.StatefulSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, Replicas: new(int32(1)),
		},
	}
	w := newWorld(t, p, set, pod, stranger)
	read := func() *run {
		t.Helper()
		x := w.run("p")
		for _, s := range steps[:2] {
			if _, err := s.do(w.PoolReconciler, t.Context(), x); err != nil {
				t.Fatal(err)
			}
		}
		return x
	}
	x := read()
	if len(x.pods) != 1 || x.pods[0].Cost != 5 || x.refresh != movingPodsRefresh {
		t.Errorf("got %+v, again after %v; want the set's one pod, soon, as it isn't ready", x.pods, x.refresh)
	}
	if err := w.api.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if x := read(); len(x.pods) != 1 {
		t.Errorf("listed again at once: %+v", x.pods)
	}
	// A rollout changes the set's status again and again.
	w.clock.SetTime(w.clock.Now().Add(targetPodsInterval / 2))
	var changed appsv1.StatefulSet
	w.get("web", &changed)
	changed.Labels = map[string]string{"changed": "yes"}
	if err := w.api.Update(t.Context(), &changed); err != nil {
		t.Fatal(err)
	}
	if x := read(); len(x.pods) != 1 || x.refresh != targetPodsInterval/2 {
		t.Errorf("got %+v, again after %v; want the pods of a moment ago, and others soon", x.pods, x.refresh)
	}
	w.clock.SetTime(w.clock.Now().Add(movingPodsRefresh))
	if x := read(); len(x.pods) != 0 || x.refresh != secretsRefresh {
		t.Errorf("got %+v, again after %v", x.pods, x.refresh)
	}
}

// TestPlanTemplate: a template is written if the pool's part of it changed or another writer edited
// it, but not for a new operator version alone.
func TestPlanTemplate(t *testing.T) {
	t.Parallel()
	pool := newPool("p")
	current := ownedBy(t, pool, 3)
	tests := map[string]struct {
		w         workload.State
		applied   string // the status's runtime image
		edits     int
		rollout   bool
		wantWrite bool
		want      template // without the Deployment
		wantStall string
		wantImage string // of the runtime, in the Deployment
	}{
		"new":      {want: template{create: true}, wantWrite: true},
		"as it is": {w: stateOf(t, current, pool, "f", "f")},
		"changed": {
			w:         with(stateOf(t, current, pool, "f", "f"), func(w *workload.State) { w.Inputs = "other" }),
			wantWrite: true,
		},
		"older runtime": {
			w:       with(stateOf(t, current, pool, "f", "f"), func(w *workload.State) { w.RuntimeImage = "op:0" }),
			applied: "op:0",
		},
		"somebody edited the annotation": {
			w:       with(stateOf(t, current, pool, "f", "f"), func(w *workload.State) { w.RuntimeImage = "evil:1" }),
			applied: "op:0", wantWrite: true, wantImage: "op:0",
		},
		"and there is no status yet": {
			w:         with(stateOf(t, current, pool, "f", "f"), func(w *workload.State) { w.RuntimeImage = "evil:1" }),
			wantWrite: true, wantImage: "op:1",
		},
		"older, roll at once": {
			w:       with(stateOf(t, current, pool, "f", "f"), func(w *workload.State) { w.RuntimeImage = "op:0" }),
			applied: "op:0", rollout: true, wantWrite: true,
		},
		"edited": {w: stateOf(t, current, pool, "f", "g"), want: template{restore: true}, wantWrite: true},
		"edited once more": {
			w: stateOf(t, current, pool, "f", "g"), edits: 3, wantStall: poolstatus.ReasonContested,
		},
		"pods refused": {
			w:         with(stateOf(t, current, pool, "f", "f"), func(w *workload.State) { w.Failure = "quota" }),
			wantStall: poolstatus.ReasonPodsRefused,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, pool.DeepCopy())
			w.options.RolloutRuntime = tt.rollout
			x := w.run("p")
			x.workload = tt.w
			x.pool.Status.RuntimeImage = tt.applied
			for range tt.edits {
				w.pools.Do(x.key, func(p *autoscaler.Pool) {
					p.WroteTemplate(autoscaler.Applied{UID: "d", Fields: "f"}, false, true, w.clock.Now())
				})
			}
			if _, err := w.planTemplate(t.Context(), x); err != nil {
				t.Fatal(err)
			}
			if x.facts.Stall.Reason != tt.wantStall {
				t.Errorf("stall %+v, want %q", x.facts.Stall, tt.wantStall)
			}
			got := x.template
			if tt.wantImage != "" && got.deployment.Annotations[workload.RuntimeImageAnnotation] != tt.wantImage {
				t.Errorf(
					"the runtime comes from %s, want %s", got.deployment.Annotations[workload.RuntimeImageAnnotation],
					tt.wantImage,
				)
			}
			if tt.wantImage != "" && x.facts.RuntimeImage != tt.wantImage {
				t.Errorf("the status says %s", x.facts.RuntimeImage)
			}
			if (got.deployment != nil) != tt.wantWrite {
				t.Errorf("written: %v", got.deployment != nil)
			}
			if got = (template{create: got.create, restore: got.restore}); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func stateOf(t *testing.T, d *appsv1.Deployment, p *v1alpha1.GearmanWorkerPool, applied, live string) workload.State {
	t.Helper()
	s, err := workload.OfDeployment(d, p, live)
	if err != nil {
		t.Fatal(err)
	}
	s.AppliedFields = applied
	return s
}

func with(s workload.State, mutate func(*workload.State)) workload.State {
	mutate(&s)
	return s
}

func TestWatchJobServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newPool("p", func(p *v1alpha1.GearmanWorkerPool) {
		p.Spec.TLS = &v1alpha1.TLSSpec{ServerName: "g"}
		p.Spec.Scaling = &v1alpha1.ScalingSpec{PollSeconds: new(int32(7)), Wake: v1alpha1.WakeNotify}
	}))
	x := w.run("p")
	for _, do := range []func() error{
		func() error { _, err := w.readSpec(t.Context(), x); return err },
		func() error { _, err := w.readTLSMaterial(t.Context(), x); return err },
		func() error { _, err := w.watchJobServers(t.Context(), x); return err },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	sub, ok := w.servers.subscription("p")
	if !ok || sub.TLS == nil || sub.TLS.Identity == "" {
		t.Fatalf("got %+v", sub)
	}
	if cfg, err := sub.TLS.Config(t.Context()); err != nil || cfg.ServerName != "g" {
		t.Errorf("TLS: %+v, %v", cfg, err)
	}
	sub.TLS = nil
	want := backlog.Subscription{
		Servers: []string{"s:1"}, Functions: []string{"f"}, Period: 7 * time.Second, AtZero: true,
		StaleAfter: time.Hour, Doorbell: true,
	}
	if diff := cmp.Diff(want, sub); diff != "" {
		t.Error(diff)
	}
}

// TestDecideStep: the Autoscaler's decision and what keeps pods from starting are recorded for the
// conditions, until it is fixed.
func TestDecideStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newPool("p"), newPool("q", func(p *v1alpha1.GearmanWorkerPool) { p.UID = "q" }))
	w.backlogOf("p", 0)
	decide := func(name string, pods ...workload.Pod) *run {
		t.Helper()
		x := w.run(name)
		x.pods = pods
		if _, err := w.readSpec(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		if _, err := w.decide(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		return x
	}
	x := decide("p", workload.Pod{Trouble: workload.TroubleCrash})
	if x.facts.View.Decision.Replicas != 2 || x.facts.Trouble != workload.TroubleCrash || !x.facts.NoWorker {
		t.Errorf("got %+v", x.facts)
	}
	if _, err := w.writeStatus(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	if x := decide(
		"p", workload.Pod{Ready: true, ReadySince: w.clock.Now()},
	); x.facts.Trouble != workload.TroubleCrash {
		t.Errorf("between two crashes: %+v", x.facts)
	}
	if x := decide("q"); len(x.facts.Shared) != 1 || x.facts.Shared[0] != "p" {
		t.Errorf("shared with %v", x.facts.Shared)
	}
}

// TestDeploymentsLost: a pool whose Deployments are deleted one after the other creates the next
// later each time, and finally reports it.
func TestDeploymentsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newPool("p"))
	for n := range 5 {
		w.pools.Do(typesKey("p"), func(p *autoscaler.Pool) { p.RecordCreated(w.clock.Now()) })
		if n == 4 {
			break
		}
		if got, want := w.reconcile("p").RequeueAfter, time.Second<<n; got != want {
			t.Errorf("after %d Deployments the next comes in %s, want %s", n+1, got, want)
		}
	}
	w.reconcile("p")
	if got := w.condition("p", v1alpha1.ConditionStalled); got != "True Contested" {
		t.Errorf("after 5 Deployments Stalled is %s", got)
	}
	if w.tried["apply"] != 0 {
		t.Errorf("%d applies while the pool waits", w.tried["apply"])
	}
	w.clock.SetTime(w.clock.Now().Add(time.Minute))
	w.reconcile("p")
	w.get("p", &appsv1.Deployment{})
}

// TestAnotherDeployment: a failed apply to a deleted Deployment is no fault of the template.
func TestAnotherDeployment(t *testing.T) {
	t.Parallel()
	p := newPool("p")
	w := newWorld(t, p, ownedBy(t, p, 2))
	x := w.run("p")
	x.workload = workload.State{Exists: true, UID: "before"}
	if _, err := w.planTemplate(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	w.fail["apply"] = apierrors.NewInvalid(schemaKind, "p", field.ErrorList{
		field.Invalid(field.NewPath("metadata", "uid"), "before", "field is immutable"),
	})
	_, err := w.applyTemplate(t.Context(), x)
	if err == nil || errors.Is(err, errStalled) || x.facts.Stall.Reason != "" {
		t.Errorf("error %v, stall %+v", err, x.facts.Stall)
	}
}

func TestApplyTemplate(t *testing.T) {
	t.Parallel()
	ending := apierrors.NewForbidden(schema.GroupResource{}, "p", errors.New("ends"))
	ending.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	tests := map[string]struct {
		fail      error
		wantStall string
		wantErr   bool
	}{
		"created":        {},
		"namespace ends": {fail: ending, wantStall: poolstatus.ReasonNamespaceEnds},
		"not allowed": {
			fail:      apierrors.NewForbidden(schema.GroupResource{}, "p", errors.New("policy")),
			wantStall: poolstatus.ReasonInvalidPodTemplate,
		},
		"server not there": {fail: apierrors.NewServiceUnavailable("later"), wantErr: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newPool("p"))
			x := w.run("p")
			if _, err := w.planTemplate(t.Context(), x); err != nil {
				t.Fatal(err)
			}
			w.fail["apply"] = tt.fail
			_, err := w.applyTemplate(t.Context(), x)
			if errors.Is(err, errStalled) != (tt.wantStall != "") || x.facts.Stall.Reason != tt.wantStall {
				t.Errorf("error %v, stall %+v; want %q", err, x.facts.Stall, tt.wantStall)
			}
			if (err != nil && !errors.Is(err, errStalled)) != tt.wantErr {
				t.Errorf("error %v", err)
			}
			if x.facts.RollingOut != (tt.fail == nil) {
				t.Errorf("rolling out: %v", x.facts.RollingOut)
			}
			if n := w.pools.Counts()["drifts"]; (n == 1) != (tt.fail == nil) {
				t.Errorf("%d Deployments are waited for", n)
			}
		})
	}
}

// TestApplyReplicas: costs are written before replicas, a failed write is retried, and contested
// replicas are left alone.
func TestApplyReplicas(t *testing.T) {
	t.Parallel()
	p := newPool("p")
	setup := func(t *testing.T) (*world, *run) {
		t.Helper()
		pods := []workload.Pod{{Name: "a", UID: "1", Ready: true}, {Name: "b", UID: "2", Ready: true}}
		w := newWorld(t, p.DeepCopy(), ownedBy(t, p, 2),
			&corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a"},
			}, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "b"}})
		x := w.run("p")
		if _, err := w.readWorkload(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		x.pods = pods
		x.facts.View = poolstatus.View{
			At: w.clock.Now(), Decision: scaling.Decision{Apply: true, Replicas: 5, Message: "m"},
		}
		return w, x
	}
	replicas := func(w *world) int32 {
		var d appsv1.Deployment
		w.get("p", &d)
		return *d.Spec.Replicas
	}
	t.Run("up", func(t *testing.T) {
		t.Parallel()
		w, x := setup(t)
		if _, err := w.applyReplicas(t.Context(), x); err != nil || replicas(w) != 5 {
			t.Errorf("%v, %d replicas", err, replicas(w))
		}
		if got, want := <-w.events.Events, "Normal Scaled from 2 to 5 replicas: m"; got != want {
			t.Errorf("event %q, want %q", got, want)
		}
	})
	t.Run("down marks first, and waits for no mark", func(t *testing.T) {
		t.Parallel()
		w, x := setup(t)
		x.facts.View.Decision = scaling.Decision{Apply: true, Replicas: 1, Ceiling: 1}
		if _, err := w.applyReplicas(t.Context(), x); err != nil || replicas(w) != 2 {
			t.Errorf("%v, %d replicas", err, replicas(w))
		}
		var a corev1.Pod
		w.get("a", &a)
		if a.Annotations[workload.DeletionCostAnnotation] != "-1000000" {
			t.Errorf("annotations: %v", a.Annotations)
		}
		// the cache shows no mark; it is written again, and that fails
		w.clock.SetTime(w.clock.Now().Add(12 * time.Second))
		w.fail["patch"] = errors.New("unavailable")
		if _, err := w.applyReplicas(t.Context(), x); err != nil || replicas(w) != 1 {
			t.Errorf("%v, %d replicas", err, replicas(w))
		}
	})
	t.Run("the write fails", func(t *testing.T) {
		t.Parallel()
		w, x := setup(t)
		w.fail["apply"] = errors.New("unavailable")
		if _, err := w.applyReplicas(t.Context(), x); err == nil {
			t.Error("no error")
		}
		w.fail["apply"] = nil
		if _, err := w.applyReplicas(t.Context(), x); err != nil || replicas(w) != 5 {
			t.Errorf("%v, %d replicas", err, replicas(w))
		}
	})
	t.Run("not applied", func(t *testing.T) {
		t.Parallel()
		w, x := setup(t)
		x.facts.View.Decision.Apply = false
		if _, err := w.applyReplicas(t.Context(), x); err != nil || replicas(w) != 2 {
			t.Errorf("%v, %d replicas", err, replicas(w))
		}
	})
	t.Run("contested", func(t *testing.T) {
		t.Parallel()
		w, x := setup(t)
		w.pools.Do(x.key, func(p *autoscaler.Pool) {
			for i := range int32(3) {
				s := x.workload
				s.Replicas += i
				p.ObserveReplicas(&s, v1alpha1.ModeAuto, w.clock.Now())
			}
		})
		x.workload.Replicas = 4
		if _, err := w.applyReplicas(t.Context(), x); err != nil || replicas(w) != 2 || !x.facts.Contested {
			t.Errorf("%v, %d replicas, contested %v", err, replicas(w), x.facts.Contested)
		}
	})
}

// TestScaleUpHeldBack: while ordered pods can't start, fewer are ordered than wanted, and the
// conditions report it until none has failed for a while.
func TestScaleUpHeldBack(t *testing.T) {
	t.Parallel()
	p := newPool("p")
	w := newWorld(t, p.DeepCopy(), ownedBy(t, p, 2))
	apply := func(pods ...workload.Pod) *run {
		t.Helper()
		x := w.run("p")
		if _, err := w.readWorkload(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		x.pods = pods
		x.facts.View = poolstatus.View{
			At: w.clock.Now(), Decision: scaling.Decision{Apply: true, Replicas: 9, Ceiling: 9},
		}
		if _, err := w.applyReplicas(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		return x
	}
	failing := workload.Pod{Name: "a", UID: "1", Trouble: workload.TroubleImage}
	x := apply(failing, workload.Pod{Name: "b", UID: "2", Trouble: workload.TroubleImage})
	if !x.facts.HeldBack || x.refresh > poolstatus.FixedAfter {
		t.Fatalf("no pod starts: held back %v, reconciled again after %s", x.facts.HeldBack, x.refresh)
	}
	ready := func(name string) workload.Pod {
		return workload.Pod{
			Name: name, UID: name, Ready: true, ReadySince: w.clock.Now().Add(-time.Hour),
			Created: w.clock.Now().Add(-time.Hour),
		}
	}
	w.clock.SetTime(w.clock.Now().Add(poolstatus.FixedAfter / 2))
	if x := apply(ready("a"), ready("b")); !x.facts.HeldBack {
		t.Error("between two crashes the condition ends")
	}
	w.clock.SetTime(w.clock.Now().Add(poolstatus.FixedAfter))
	if x := apply(ready("a"), ready("b")); x.facts.HeldBack {
		t.Error("all pods have been ready for a while, and growth still counts as held back")
	}
}

// polled returns the facts of a pool whose job server answers.
func polled(w *world, x *run) {
	x.facts.View = poolstatus.View{
		Sample: backlog.Sample{
			Servers: []backlog.ServerSample{{Address: "s:1", State: backlog.StateOK, LastGood: w.clock.Now()}},
		},
	}
}

// drain uses up the rate limit of status writes, so that the next must wait for at most a second.
func (w *world) drain() {
	for w.pools.StatusWait(types.NamespacedName{Name: "another"}, w.clock.Now()) == 0 {
	}
}

// TestCanceledStatusWrite: a pool that has nothing to write any more cancels its status write.
func TestCanceledStatusWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newPool("p"))
	w.drain()
	x := w.run("p")
	polled(w, x)
	if wait, err := w.writeStatus(t.Context(), x); wait <= 0 || err != nil || w.pools.Counts()["statusWrites"] != 2 {
		t.Fatalf("turn %v, %v, %d wait; want one that waits", wait, err, w.pools.Counts()["statusWrites"])
	}
	x = w.run("p")
	x.pool.Status.ObservedGeneration = x.pool.Generation // it has a status, and its job servers have not answered
	if wait, err := w.writeStatus(t.Context(), x); wait != 0 || err != nil || w.pools.Counts()["statusWrites"] != 1 {
		t.Errorf("turn %v, %v, %d wait; want none", wait, err, w.pools.Counts()["statusWrites"])
	}
}

// TestStatusGap: a pool's status is not written twice within moments, except for a new spec or a
// change of replicas.
func TestStatusGap(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		written, scaled time.Duration // ago; 0: never
		newSpec         bool
		want            time.Duration // at most
		waiting         int
	}{
		"just written": {
			written: 500 * time.Millisecond, scaled: time.Second, want: 1500 * time.Millisecond,
		},
		"long ago": {written: statusGap, scaled: time.Minute, want: time.Second, waiting: 1},
		"just written, a new spec": {
			written: 500 * time.Millisecond, scaled: time.Minute, newSpec: true, want: time.Second, waiting: 1,
		},
		"just written, then scaled": {
			written: 500 * time.Millisecond, scaled: time.Millisecond, want: time.Second, waiting: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newPool("p"))
			w.drain()
			now := w.clock.Now()
			x := w.run("p")
			if !tt.newSpec {
				x.pool.Status.ObservedGeneration = x.pool.Generation
			}
			polled(w, x)
			if _, err := w.readSpec(t.Context(), x); err != nil {
				t.Fatal(err)
			}
			w.pools.Observe(x.key, x.spec, autoscaler.Observed{}, scaling.Learnt{})
			w.clock.SetTime(now.Add(-tt.scaled))
			w.pools.Scaled(x.key)
			w.clock.SetTime(now)
			w.pools.Do(
				x.key,
				func(p *autoscaler.Pool) {
					p.RecordReported(&x.facts.View, poolstatus.Figures{}, now.Add(-tt.written))
				},
			)
			wait, err := w.writeStatus(t.Context(), x)
			if waiting := w.pools.Counts()["statusWrites"] - 1; wait <= 0 || wait > tt.want ||
				tt.waiting == 0 && wait != tt.want || err != nil || waiting != tt.waiting {
				t.Errorf("turn %v, %v, %d in line; want %v, %d", wait, err, waiting, tt.want, tt.waiting)
			}
		})
	}
}

// TestStatusUnseen: a written status is not written again because the cache doesn't show it yet.
func TestStatusUnseen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newPool("p"))
	w.drain()
	w.backlogOf("p", 3)
	w.reconcile("p") // creates the Deployment
	w.clock.SetTime(w.clock.Now().Add(time.Minute))
	w.backlogOf("p", 3)
	before := w.pool("p")
	writes := w.tried["status"]
	w.reconcile("p")
	if w.tried["status"] != writes+1 {
		t.Fatalf("%d status writes, want one: the pool was scaled", w.tried["status"]-writes)
	}
	w.cached = before
	w.reconcile("p")
	w.reconcile("p")
	if n := w.tried["status"] - writes; n != 1 {
		t.Errorf("%d status writes while the cache is behind, want the first one only", n)
	}
	w.cached = nil
	w.reconcile("p")
	if n := w.tried["status"] - writes; n != 1 {
		t.Errorf("%d status writes once the cache shows the first, want no other", n)
	}
}

// TestScaleTarget: the API server's answer counts. If admission leaves the replicas unchanged, they
// are written again.
func TestScaleTarget(t *testing.T) {
	t.Parallel()
	web := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "w", Generation: 3},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, Replicas: new(int32(1)),
		},
	}
	w := newWorld(t, newPool("p", func(p *v1alpha1.GearmanWorkerPool) {
		p.Spec.Runtime, p.Spec.Image, p.Spec.TargetRef = nil, "", &v1alpha1.TargetRef{Kind: "Deployment", Name: "web"}
	}), web)
	w.backlogOf("p", 0)
	replicas := func() int32 {
		var d appsv1.Deployment
		w.get("web", &d)
		return *d.Spec.Replicas
	}
	writes := 0
	w.admission = func(o client.Object) { writes++; o.(*appsv1.Deployment).Spec.Replicas = new(int32(1)) }
	for want := 1; want <= 3; want++ {
		w.clock.SetTime(w.clock.Now().Add(10 * time.Second))
		w.backlogOf("p", 0)
		w.reconcile("p")
		if writes != want || replicas() != 1 {
			t.Fatalf("%d writes, %d replicas; want %d, and 1", writes, replicas(), want)
		}
	}
	if got := w.condition("p", v1alpha1.ConditionScalingActive); got != "True AsExpected" {
		t.Errorf("ScalingActive is %s", got)
	}
	if len(w.events.Events) != 0 {
		t.Errorf("event %q, though nothing changed", <-w.events.Events)
	}
	w.admission = nil
	w.clock.SetTime(w.clock.Now().Add(10 * time.Second))
	w.backlogOf("p", 0)
	w.reconcile("p")
	if replicas() != 2 {
		t.Errorf("%d replicas", replicas())
	}
}
