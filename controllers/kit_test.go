package controllers

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/autoscaler"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// world is a reconciler, the API server that it talks to, and the job servers that it polls.
type world struct {
	*PoolReconciler
	t       *testing.T
	api     client.Client
	clock   *clocktesting.FakePassiveClock
	servers *fakeServers
	events  *events.FakeRecorder

	mu   sync.Mutex
	fail map[string]error // the API server's answer to a kind of write
	// failTemplate is its answer to an apply of a Deployment's template.
	failTemplate error
	// admission changes a target when its scale is written.
	admission func(client.Object)
	tried     map[string]int              // requests by kind, failed ones included
	cached    *v1alpha1.GearmanWorkerPool // what the cache shows of pools; nil: the real state
}

func testScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, appsv1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	played := clocktesting.NewFakePassiveClock(time.Unix(1_700_000_000, 0))
	w := newWorldAt(t, played, objects...)
	w.clock = played
	return w
}

// newWorldAt returns a world with the given clock.
func newWorldAt(t *testing.T, ck clock.PassiveClock, objects ...client.Object) *world {
	t.Helper()
	w := &world{
		t:       t,
		servers: &fakeServers{samples: map[backlog.PoolKey]backlog.Sample{}}, events: events.NewFakeRecorder(100),
		fail: map[string]error{}, tried: map[string]int{},
	}
	w.api = fake.NewClientBuilder().WithScheme(testScheme(t)).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.GearmanWorkerPool{}, &appsv1.Deployment{}).
		WithIndex(&v1alpha1.GearmanWorkerPool{}, targetIndex, indexTarget).
		WithIndex(&corev1.Pod{}, poolIndex, indexPool).
		WithInterceptorFuncs(interceptor.Funcs{
			Apply: func(
				ctx context.Context, c client.WithWatch, obj runtime.ApplyConfiguration, opts ...client.ApplyOption,
			) error {
				if err := w.failure("apply"); err != nil {
					return err
				}
				if o := (&client.ApplyOptions{}).ApplyOptions(opts); o.FieldManager == string(OwnerMain) &&
					w.failTemplate != nil {
					return w.failTemplate
				}
				return c.Apply(ctx, obj, opts...)
			},
			SubResourceApply: func(
				ctx context.Context, c client.Client, sub string, obj runtime.ApplyConfiguration,
				opts ...client.SubResourceApplyOption,
			) error {
				if err := w.failure(sub); err != nil {
					return err
				}
				return c.SubResource(sub).Apply(ctx, obj, opts...)
			},
			SubResourcePatch: func(
				ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch,
				opts ...client.SubResourcePatchOption,
			) error {
				if err := w.failure(sub); err != nil {
					return err
				}
				// The library's fake client can't patch a scale.
				if err := c.Patch(ctx, obj, patch); err != nil {
					return err
				}
				if w.admission != nil {
					w.admission(obj)
					if err := c.Update(ctx, obj); err != nil {
						return err
					}
				}
				o := (&client.SubResourcePatchOptions{}).ApplyOptions(opts)
				if answer, ok := o.SubResourceBody.(*autoscalingv1.Scale); ok {
					answer.Spec.Replicas = *obj.(*appsv1.Deployment).Spec.Replicas
				}
				return nil
			},
			Patch: func(
				ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch,
				opts ...client.PatchOption,
			) error {
				if err := w.failure("patch"); err != nil {
					return err
				}
				return c.Patch(ctx, obj, patch, opts...)
			},
			Get: func(
				ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object,
				opts ...client.GetOption,
			) error {
				if _, ok := obj.(*corev1.Secret); ok {
					if err := w.failure("get secret"); err != nil {
						return err
					}
				}
				if p, ok := obj.(*v1alpha1.GearmanWorkerPool); ok && w.cached != nil {
					w.cached.DeepCopyInto(p)
					return nil
				}
				return c.Get(ctx, key, obj, opts...)
			},
			List: func(
				ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption,
			) error {
				if err := w.failure("list"); err != nil {
					return err
				}
				return c.List(ctx, list, opts...)
			},
		}).Build()
	a := autoscaler.New(w.servers, autoscaler.Options{Clock: ck, Random: func() float64 { return 0.5 }})
	w.PoolReconciler = NewPoolReconciler(
		w.api, w.api, w.events, a, Options{Runtime: workload.RuntimeImage{Image: "op:1"}, Clock: ck},
	)
	return w
}

func (w *world) failure(kind string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tried[kind]++
	return w.fail[kind]
}

func (w *world) setFailure(kind string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail[kind] = err
}

// run is a reconcile of the pool as the API server has it, before its first step.
func (w *world) run(name string) *run {
	w.t.Helper()
	return newRun(w.pool(name))
}

func (w *world) pool(name string) *v1alpha1.GearmanWorkerPool {
	w.t.Helper()
	p := &v1alpha1.GearmanWorkerPool{}
	w.get(name, p)
	return p
}

func (w *world) get(name string, o client.Object) {
	w.t.Helper()
	if err := w.api.Get(w.t.Context(), client.ObjectKey{Namespace: "ns", Name: name}, o); err != nil {
		w.t.Fatal(err)
	}
}

// reconcile runs all steps.
func (w *world) reconcile(name string) ctrl.Result {
	w.t.Helper()
	result, err := w.Reconcile(
		w.t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "ns", Name: name}},
	)
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

// condition is a pool's condition: its status and reason.
func (w *world) condition(name, kind string) string {
	w.t.Helper()
	for _, c := range w.pool(name).Status.Conditions {
		if c.Type == kind {
			return string(c.Status) + " " + c.Reason
		}
	}
	return "missing"
}

// backlogOf makes the job server of a pool report that many queued jobs of a function f.
func (w *world) backlogOf(name string, queued int64) {
	now := w.PoolReconciler.clock.Now()
	w.servers.set(name, backlog.Sample{
		Time:      now,
		Servers:   []backlog.ServerSample{{Address: "s:1", State: backlog.StateOK, Fresh: true, LastGood: now}},
		Functions: []backlog.FunctionSample{{Name: "f", Total: queued, Queued: queued, LongestQueue: queued}},
	})
}

func newPool(name string, mutate ...func(*v1alpha1.GearmanWorkerPool)) *v1alpha1.GearmanWorkerPool {
	p := &v1alpha1.GearmanWorkerPool{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: name, UID: "p", Generation: 1,
			CreationTimestamp: metav1.NewTime(time.Unix(1_650_000_000, 0)),
		},
		Spec: v1alpha1.GearmanWorkerPoolSpec{
			Servers: []v1alpha1.ServerAddress{"s:1"}, Function: "f", Image: "i:1", MaxReplicas: 10, MinReplicas: 2,
			Runtime: &v1alpha1.RuntimeSpec{Exec: &v1alpha1.ExecRuntime{Command: []string{"cat"}}},
		},
	}
	for _, m := range mutate {
		m(p)
	}
	return p
}

// ownedBy makes the pool own a Deployment of its name that was applied from its template.
func ownedBy(t *testing.T, p *v1alpha1.GearmanWorkerPool, replicas int32) *appsv1.Deployment {
	t.Helper()
	inputs, err := workload.Inputs(p)
	if err != nil {
		t.Fatal(err)
	}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: p.Name, UID: "d", Generation: 1,
			Annotations: map[string]string{
				workload.InputsAnnotation: inputs, workload.RuntimeImageAnnotation: "op:1",
			},
			OwnerReferences: []metav1.OwnerReference{
				{
					APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "GearmanWorkerPool", Name: p.Name,
					UID: p.UID, Controller: new(true),
				},
			},
		},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelPool: p.Name}},
		},
		Status: appsv1.DeploymentStatus{
			ObservedGeneration: 1, Replicas: replicas, ReadyReplicas: replicas, UpdatedReplicas: replicas,
		},
	}
}

// fakeServers answers like a poller that has the given samples.
type fakeServers struct {
	mu      sync.Mutex
	samples map[backlog.PoolKey]backlog.Sample
	subs    map[backlog.PoolKey]backlog.Subscription
	refuse  error
}

func (s *fakeServers) set(name string, sample backlog.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples[keyOf(name)] = sample
}

// subscription is a pool's subscription, false for none.
func (s *fakeServers) subscription(name string) (backlog.Subscription, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub, ok := s.subs[keyOf(name)]
	return sub, ok
}

func (s *fakeServers) Set(key backlog.PoolKey, sub backlog.Subscription) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return s.refuse
	}
	if s.subs == nil {
		s.subs = map[backlog.PoolKey]backlog.Subscription{}
	}
	s.subs[key] = sub
	return nil
}

func (s *fakeServers) SetPods(backlog.PoolKey, []backlog.PodRef) {}

func (s *fakeServers) Remove(key backlog.PoolKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.subs, key)
}

func (s *fakeServers) Sample(key backlog.PoolKey, now time.Time) (backlog.Sample, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sample, ok := s.samples[key]
	sample.Time = now
	return sample, ok
}

func (s *fakeServers) Runnable(context.Context, backlog.PoolKey, string) (backlog.Verdict, error) {
	return 0, errors.New("not played")
}

func keyOf(name string) backlog.PoolKey { return backlog.PoolKey{Namespace: "ns", Name: name} }
