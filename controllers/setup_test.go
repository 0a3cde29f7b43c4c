package controllers

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllertest"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// fakeManager has a cache whose events a test sends.
type fakeManager struct {
	t         *testing.T
	cache     *informertest.FakeInformers
	informers map[schema.GroupVersionKind]*fakeInformer
	runnable  manager.Runnable
}

// fakeInformer is the library's fake, which can't be given two handlers at the same time.
type fakeInformer struct {
	*controllertest.FakeInformer
	mu sync.Mutex
}

func (i *fakeInformer) AddEventHandlerWithOptions(
	h toolscache.ResourceEventHandler, o toolscache.HandlerOptions,
) (toolscache.ResourceEventHandlerRegistration, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.FakeInformer.AddEventHandlerWithOptions(h, o)
}

func newPlayedManager(t *testing.T) *fakeManager {
	t.Helper()
	m := &fakeManager{
		t: t, informers: map[schema.GroupVersionKind]*fakeInformer{},
		cache: &informertest.FakeInformers{
			Scheme: testScheme(t), InformersByGVK: map[schema.GroupVersionKind]toolscache.SharedIndexInformer{},
		},
	}
	for _, o := range []client.Object{
		&v1alpha1.GearmanWorkerPool{}, &appsv1.Deployment{}, &appsv1.StatefulSet{}, &corev1.Pod{},
	} {
		i := &fakeInformer{FakeInformer: controllertest.NewFakeInformer(controllertest.Synced)}
		m.informers[m.kind(o)], m.cache.InformersByGVK[m.kind(o)] = i, i
	}
	return m
}

func (m *fakeManager) kind(o client.Object) schema.GroupVersionKind {
	m.t.Helper()
	gvk, err := apiutil.GVKForObject(o, m.cache.Scheme)
	if err != nil {
		m.t.Fatal(err)
	}
	return gvk
}

// informer sends the events of a kind.
func (m *fakeManager) informer(o client.Object) *fakeInformer { return m.informers[m.kind(o)] }

// run runs a reconciler until stop.
func (m *fakeManager) run(w *world) (stop func()) {
	m.t.Helper()
	if err := w.SetupWithManager(m); err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	ended := make(chan error)
	go func() { ended <- m.runnable.Start(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			m.t.Error(err)
		}
	}
}

func (m *fakeManager) GetCache() cache.Cache  { return m.cache }
func (m *fakeManager) GetLogger() logr.Logger { return logr.Discard() }
func (m *fakeManager) GetControllerOptions() config.Controller {
	return config.Controller{SkipNameValidation: new(true)}
}
func (m *fakeManager) Add(r manager.Runnable) error { m.runnable = r; return nil }

// TestSetup: with a fake cache, in virtual time, each kind of event enqueues the right pools, and
// so do the Autoscaler's own requests.
func TestSetup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		target := newPool("target", func(p *v1alpha1.GearmanWorkerPool) {
			p.UID, p.Spec.Runtime, p.Spec.Image, p.Spec.TargetRef = "t", nil, "", &v1alpha1.TargetRef{
				Kind: "StatefulSet", Name: "web",
			}
		})
		w := newWorldAt(t, clock.RealClock{}, newPool("p"), target) // the bubble's time
		w.backlogOf("p", 0)
		mgr := newPlayedManager(t)
		pools, deployments := mgr.informer(&v1alpha1.GearmanWorkerPool{}), mgr.informer(&appsv1.Deployment{})
		sets, pods := mgr.informer(&appsv1.StatefulSet{}), mgr.informer(&corev1.Pod{})
		stop := mgr.run(w)

		pools.Add(w.pool("p"))
		settle := func() { time.Sleep(10 * time.Second); synctest.Wait() } // the status is rate-limited too
		settle()
		var d appsv1.Deployment
		w.get("p", &d)
		if *d.Spec.Replicas != 2 {
			t.Errorf("%d replicas", *d.Spec.Replicas)
		}
		// The cases below differ in how often a pool is reconciled, counted by its subscriptions.
		reconciled := func(name string) bool {
			t.Helper()
			settle()
			_, ok := w.servers.subscription(name)
			w.servers.Remove(keyOf(name))
			return ok
		}
		if !reconciled("p") {
			t.Fatal("the pool's own event brought nothing")
		}
		labels := map[string]string{v1alpha1.LabelPool: "p"}
		for name, play := range map[string]func(){
			"a Deployment that the pool owns": func() { deployments.Update(&d, &d) },
			"a pod with the pool's label": func() {
				pods.Add(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "x", Labels: labels}})
			},
			"the Autoscaler": func() { w.pools.Share(typesKey("another"), []string{"s:1"}, []string{"f"}) },
		} {
			if play(); !reconciled("p") {
				t.Errorf("%s did not bring the pool", name)
			}
		}
		foreign := d.DeepCopy()
		foreign.OwnerReferences[0].APIVersion = "other.example/v1"
		same := w.pool("p")
		for name, play := range map[string]func(){
			"somebody else's Deployment": func() { deployments.Update(foreign, foreign) },
			"a pod without a pool": func() {
				pods.Add(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "y"}})
			},
			"the pool's own status": func() { pools.Update(same, same) },
		} {
			if play(); reconciled("p") {
				t.Errorf("%s brought the pool", name)
			}
		}
		sets.Add(&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"}})
		settle()
		if got := w.condition("target", v1alpha1.ConditionStalled); got != "True TargetNotFound" {
			t.Errorf("an event of its target did not bring the pool: Stalled is %s", got)
		}
		stop()
	})
}

// TestRetriesAreBounded: once the API server answers again after an outage, a pool recovers within
// maxRetryDelay, however long the outage was.
func TestRetriesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorldAt(t, clock.RealClock{}, newPool("p")) // the bubble's time
		w.backlogOf("p", 0)
		mgr := newPlayedManager(t)
		stop := mgr.run(w)
		w.setFailure("list", errors.New("unavailable"))
		mgr.informer(&v1alpha1.GearmanWorkerPool{}).Add(w.pool("p"))
		time.Sleep(time.Hour)
		synctest.Wait()
		w.setFailure("list", nil)
		time.Sleep(maxRetryDelay + time.Second)
		synctest.Wait()
		var d appsv1.Deployment
		w.get("p", &d)
		if *d.Spec.Replicas != 2 {
			t.Errorf("%d replicas", *d.Spec.Replicas)
		}
		stop()
	})
}

func typesKey(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "ns", Name: name}
}
