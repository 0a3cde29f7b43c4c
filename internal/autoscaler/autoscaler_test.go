package autoscaler

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

var noLearnt scaling.Learnt

func testSpec(t *testing.T) *Spec {
	t.Helper()
	s, err := NewSpec(&v1alpha1.GearmanWorkerPool{Spec: v1alpha1.GearmanWorkerPoolSpec{
		Servers: []v1alpha1.ServerAddress{"s:1"}, Function: "f", MaxReplicas: 10,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fakeServers answers like a poller that has the given samples.
type fakeServers struct {
	mu      sync.Mutex
	samples map[backlog.PoolKey]backlog.Sample
	removed []backlog.PoolKey
	sampled []backlog.PoolKey
	probed  int
}

func newPlayedServers() *fakeServers {
	return &fakeServers{samples: map[backlog.PoolKey]backlog.Sample{}}
}

func (s *fakeServers) Set(backlog.PoolKey, backlog.Subscription) error { return nil }
func (s *fakeServers) SetPods(backlog.PoolKey, []backlog.PodRef)       {}

func (s *fakeServers) Remove(key backlog.PoolKey) { s.removed = append(s.removed, key) }

func (s *fakeServers) Sample(key backlog.PoolKey, now time.Time) (backlog.Sample, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sampled = append(s.sampled, key)
	sample, ok := s.samples[key]
	sample.Time = now
	return sample, ok
}

func (s *fakeServers) Runnable(context.Context, backlog.PoolKey, string) (backlog.Verdict, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probed++
	return backlog.Runnable, nil
}

// TestStart: pools are decided on at ticks, from the start on, those with news first; one that
// needs a write is enqueued; a deleted one is not decided on.
func TestStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers := newPlayedServers()
		a := New(servers, Options{})
		busy, idle, gone := types.NamespacedName{
			Name: "busy",
		}, types.NamespacedName{Name: "idle"}, types.NamespacedName{Name: "gone"}
		for _, key := range []types.NamespacedName{busy, idle, gone} {
			a.Observe(key, testSpec(t), Observed{}, noLearnt)
		}
		a.OnTick([]backlog.PoolKey{backlog.PoolKey(busy)}, true) // before Start: it is not lost
		a.Forget(gone)
		servers.samples[backlog.PoolKey(busy)] = backlog.Sample{
			Servers: []backlog.ServerSample{
				{Address: "s:1", State: backlog.StateOK, Fresh: true, LastGood: time.Now()},
			},
			Functions: []backlog.FunctionSample{{Name: "f", Total: 5, Queued: 5, LongestQueue: 5}},
		}
		requests := priorityqueue.New[reconcile.Request]("requests")
		defer requests.ShutDown()
		if err := a.Source().Start(t.Context(), requests); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- a.Start(ctx) }()
		synctest.Wait()
		view := map[types.NamespacedName]int32{}
		for _, key := range []types.NamespacedName{busy, idle} {
			a.doExisting(key, func(p *Pool) { view[key] = p.view.Decision.Replicas })
		}
		if view[busy] < 1 || view[idle] != 0 || servers.probed != 1 {
			t.Errorf("decided %v after %d probes; want replicas for the busy pool after one", view, servers.probed)
		}
		first, priority, _ := requests.GetWithPriority()
		if first.NamespacedName != busy || priority != priorityScale {
			t.Errorf("first in the queue: %v with priority %d", first, priority)
		}
		servers.sampled = nil
		a.OnTick([]backlog.PoolKey{backlog.PoolKey(gone)}, true)
		synctest.Wait()
		if n := len(a.keys()); n != 2 {
			t.Errorf("%d pools are known after a tick of one that is gone", n)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
