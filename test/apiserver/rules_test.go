package apiserver

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	gearman "github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// flow submits a job of 0.8 s three times a second until it is stopped, and waits for each to
// complete.
type flow struct {
	stop   func() // returns when all jobs have completed
	failed atomic.Int64
	done   atomic.Int64
}

func startFlow(t *testing.T, server string) *flow {
	t.Helper()
	c, err := gearman.New(gearman.Options{Servers: []string{server}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	f := &flow{}
	ending, cancel := context.WithCancel(context.Background())
	var jobs sync.WaitGroup
	jobs.Go(func() {
		tick := time.NewTicker(time.Second / 3)
		defer tick.Stop()
		for {
			select {
			case <-ending.Done():
				return
			case <-tick.C:
				jobs.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
					defer cancel()
					if _, err := c.Do(ctx, &gearman.Task{Function: "resize", Payload: []byte("0.8\n")}); err != nil {
						t.Logf("a job: %v", err)
						f.failed.Add(1)
						return
					}
					f.done.Add(1)
				})
			}
		}
	})
	f.stop = func() { cancel(); jobs.Wait() }
	t.Cleanup(f.stop)
	return f
}

// costWatch counts the deletion costs that are written to a pool's pods, and the pods that are
// removed.
type costWatch struct {
	writes, removed atomic.Int64
}

func watchCosts(t *testing.T, p *v1alpha1.GearmanWorkerPool) *costWatch {
	t.Helper()
	watcher, err := client.NewWithWatch(restConfig, client.Options{Scheme: k8s.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w, err := watcher.Watch(
		ctx, &corev1.PodList{}, client.InNamespace(p.Namespace), client.MatchingLabels{v1alpha1.LabelPool: p.Name},
	)
	if err != nil {
		t.Fatal(err)
	}
	c := &costWatch{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		costs, going := map[string]string{}, map[string]bool{}
		for event := range w.ResultChan() {
			pod, ok := event.Object.(*corev1.Pod)
			if !ok {
				continue
			}
			uid := string(pod.UID)
			if cost := pod.Annotations[workload.DeletionCostAnnotation]; cost != costs[uid] {
				costs[uid] = cost
				c.writes.Add(1)
			}
			if pod.DeletionTimestamp != nil && !going[uid] {
				going[uid] = true
				c.removed.Add(1)
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		w.Stop()
		<-done
	})
	return c
}

// startTwenty starts a pool whose minimum of 20 workers of the real runtime is ready, on a real
// gearmand.
func startTwenty(t *testing.T) (*v1alpha1.GearmanWorkerPool, *jobserver.Server) {
	t.Helper()
	g := NewWithT(t)
	server := jobserver.Gearmand(t)
	p := pool(namespace(t), func(s *spec) {
		s.Servers = []v1alpha1.ServerAddress{v1alpha1.ServerAddress(server.Addr)}
		s.MinReplicas, s.MaxReplicas = 20, 20
		s.Scaling = &v1alpha1.ScalingSpec{TargetWaitSeconds: new(int32(30))}
	})
	create(t, p)
	startKubelet(t, p, server.Addr)
	g.Eventually(func() (n int) {
		for _, pod := range pods(t, p, 0) {
			for _, c := range pod.Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
					n++
				}
			}
		}
		return n
	}, eventually).Should(Equal(20))
	return p, server
}

// TestScaleDownWhileJobsFlow: the pool has 20 workers, and jobs that two or three of them could
// process. While jobs flow it scales down to what the load needs, no job is lost, and at most two
// deletion costs are written for each removed pod.
func TestScaleDownWhileJobsFlow(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p, server := startTwenty(t)
	f := startFlow(t, server.Addr)
	costs := watchCosts(t, p)
	g.Eventually(f.done.Load, eventually).Should(BeNumerically(">=", 20))

	begin, before := time.Now(), f.done.Load()
	update(t, p, func(s *spec) { s.MinReplicas = 0 })
	g.Eventually(replicas(t, p), 150*time.Second).Should(BeNumerically("<=", 6))
	took, n := time.Since(begin), replicas(t, p)()
	// A busy machine submits fewer than three a second.
	if load := float64(f.done.Load()-before) / took.Seconds() * 0.8; n < 1 || float64(n) < math.Floor(load) {
		t.Errorf("%d replicas are left for a load of %.1f", n, load)
	}
	f.stop()
	writes, removed := costs.writes.Load(), costs.removed.Load()
	t.Logf(
		"from 20 to %d replicas in %v; %d deletion costs for %d pods; %d jobs completed", n, took.Round(time.Second),
		writes, removed, f.done.Load(),
	)
	if writes > 2*removed || f.failed.Load() > 0 {
		t.Errorf("%d deletion costs were written for %d pods, %d jobs failed", writes, removed, f.failed.Load())
	}
}

// TestTwentyIdlePods: 20 workers that have long been idle are removed within a minute after their
// minimum is lifted, and none of them needs a mark.
func TestTwentyIdlePods(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p, server := startTwenty(t)
	f := startFlow(t, server.Addr)
	g.Eventually(f.done.Load, eventually).Should(BeNumerically(">=", 20))
	f.stop()
	costs := watchCosts(t, p)
	g.Consistently(replicas(t, p), 40*time.Second, time.Second).Should(BeEquivalentTo(20), "the minimum holds")

	begin := time.Now()
	update(t, p, func(s *spec) { s.MinReplicas = 0 })
	g.Eventually(func() int { return len(pods(t, p, 0)) }, time.Minute).Should(BeZero())
	t.Logf("from 20 to %d replicas in %v", replicas(t, p)(), time.Since(begin).Round(time.Second))
	if n := replicas(t, p)(); n != 0 {
		t.Errorf("%d replicas are left without a job", n)
	}
	if writes := costs.writes.Load(); writes > 0 {
		t.Errorf("%d deletion costs were written, though any of the pods could go", writes)
	}
}

// TestLowerMaximumWhileJobsFlow: a bound is obeyed while all pods process jobs. Removed pods finish
// their jobs. TestBoundsDoNotWaitForPatches of internal/scaling checks how soon, in virtual time.
func TestLowerMaximumWhileJobsFlow(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p, server := startTwenty(t)
	f := startFlow(t, server.Addr)
	g.Eventually(f.done.Load, eventually).Should(BeNumerically(">=", 20))

	begin := time.Now()
	update(t, p, func(s *spec) { s.MinReplicas, s.MaxReplicas = 0, 5 })
	g.Eventually(replicas(t, p), eventually, 100*time.Millisecond).Should(BeNumerically("<=", 5))
	t.Logf("from 20 to %d replicas in %v", replicas(t, p)(), time.Since(begin).Round(time.Second))
	f.stop()
	if f.failed.Load() > 0 {
		t.Errorf("%d jobs failed", f.failed.Load())
	}
}

// TestOneJobAndNoNode: pods that fit on no node are not ordered again and again. One job orders one
// pod, of the 60 that the pool may have.
func TestOneJobAndNoNode(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	server := jobserver.Gearmand(t)
	p := pool(namespace(t), func(s *spec) {
		s.Servers = []v1alpha1.ServerAddress{v1alpha1.ServerAddress(server.Addr)}
		s.MaxReplicas = 60
		s.Scaling = &v1alpha1.ScalingSpec{PollSeconds: new(int32(1))}
	})
	create(t, p)
	g.Eventually(condition(t, p, v1alpha1.ConditionReady), eventually).Should(Equal("True AsExpected"))
	dial(t, server.Addr).submit("resize", 1)
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(1))
	g.Eventually(func() error { return refuseNodes(t, p) }, eventually).Should(Succeed())
	g.Eventually(condition(t, p, v1alpha1.ConditionReady), eventually).Should(Equal("False PodsNotStarting"))
	g.Consistently(
		func() (int32, error) { return replicas(t, p)(), refuseNodes(t, p) }, 40*time.Second, time.Second,
	).Should(BeEquivalentTo(1))
}

// refuseNodes acts as a scheduler that finds no node for any pod.
func refuseNodes(t *testing.T, p *v1alpha1.GearmanWorkerPool) error {
	list := pods(t, p, 0)
	if len(list) == 0 {
		return fmt.Errorf("no pod yet")
	}
	for _, pod := range list {
		if len(pod.Status.Conditions) > 0 {
			continue
		}
		pod.Status.Phase = corev1.PodPending
		pod.Status.Conditions = []corev1.PodCondition{
			{
				Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
				Message: "0/3 nodes",
			},
		}
		if err := k8s.Status().Update(t.Context(), pod); err != nil {
			return client.IgnoreNotFound(err)
		}
	}
	return nil
}
