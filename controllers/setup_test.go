package controllers

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllertest"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// playedManager has a cache whose events a test plays.
type playedManager struct {
	cache    *informertest.FakeInformers
	runnable manager.Runnable
}

func (m *playedManager) GetCache() cache.Cache  { return m.cache }
func (m *playedManager) GetLogger() logr.Logger { return logr.Discard() }
func (m *playedManager) GetControllerOptions() config.Controller {
	return config.Controller{SkipNameValidation: new(true)}
}
func (m *playedManager) Add(r manager.Runnable) error { m.runnable = r; return nil }

// TestSetup: on a played cache, in virtual time, each kind of event brings the right pools, and the Autoscaler's own requests too.
func TestSetup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		target := newPool("target", func(p *v1alpha1.GearmanWorkerPool) {
			p.UID, p.Spec.Runtime, p.Spec.Image, p.Spec.TargetRef = "t", nil, "", &v1alpha1.TargetRef{Kind: "StatefulSet", Name: "web"}
		})
		w := newWorldAt(t, clock.RealClock{}, newPool("p"), target) // the bubble's time
		w.backlogOf("p", 0)
		mgr := &playedManager{cache: &informertest.FakeInformers{Scheme: testScheme(t)}}
		informer := func(o client.Object) *controllertest.FakeInformer {
			t.Helper()
			i, err := mgr.cache.FakeInformerFor(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			return i
		}
		pools, deployments := informer(&v1alpha1.GearmanWorkerPool{}), informer(&appsv1.Deployment{})
		sets, pods := informer(&appsv1.StatefulSet{}), informer(&corev1.Pod{})
		if err := w.SetupWithManager(mgr); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- mgr.runnable.Start(ctx) }()
		synctest.Wait()

		pools.Add(w.pool("p"))
		settle := func() { time.Sleep(10 * time.Second); synctest.Wait() } // the status too waits for its turn
		settle()
		var d appsv1.Deployment
		w.get("p", &d)
		if *d.Spec.Replicas != 2 {
			t.Errorf("%d replicas", *d.Spec.Replicas)
		}
		// What is told apart below is how often a pool is reconciled, by what each reconcile subscribes to.
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
			"a pod without a pool":       func() { pods.Add(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "y"}}) },
			"the pool's own status":      func() { pools.Update(same, same) },
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
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func typesKey(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "ns", Name: name}
}
