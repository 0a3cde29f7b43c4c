//go:build e2e && long

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/test/cluster"
	"github.com/gearman-operator/gearman-operator/test/steady"
)

// TestNoise: for ten minutes jobs come at random and take from 50 ms to half a minute. All run
// once, and the pool's status stays calm. make test has a short form of it.
func TestNoise(t *testing.T) {
	t.Parallel()
	s := stage(t)
	ctx := within(t, 25*time.Minute)
	must(t, s.ApplyPool(ctx, func(spec map[string]any) { scaling(spec, "targetWaitSeconds", int64(15)) }))
	condition(t, s, v1alpha1.ConditionReady, "True", time.Minute)
	pool, err := s.Pool(ctx)
	must(t, err)
	watcher, err := client.NewWithWatch(live.Config, client.Options{Scheme: live.Client.Scheme()})
	must(t, err)
	watched, stop := context.WithCancel(ctx)
	defer stop()
	record := steady.Watch(watched, t, watcher, pool)

	random := rand.New(rand.NewPCG(1, 2))
	begin := time.Now()
	var list []cluster.Job
	for time.Since(begin) < 10*time.Minute {
		burst := jobs(fmt.Sprintf("noise-%04d", len(list)), random.IntN(20), 0)
		for i := range burst {
			burst[i].Long = min(
				50*time.Millisecond+time.Duration(random.ExpFloat64()*4*float64(time.Second)), 30*time.Second,
			)
		}
		must(t, s.Submit(ctx, burst))
		list = append(list, burst...)
		time.Sleep(time.Duration(random.IntN(20)) * time.Second) // the noise itself
	}
	allRanOnce(t, s, list, 5*time.Minute)
	atZero(t, s, 6*time.Minute)
	lasted := time.Since(begin)
	stop()
	record.Check(t, lasted)

	var events corev1.EventList
	must(t, live.Client.List(ctx, &events, client.InNamespace(s.Namespace)))
	told := map[string]int{}
	for i := range events.Items {
		if e := &events.Items[i]; e.InvolvedObject.Kind == "GearmanWorkerPool" {
			told[e.Reason]++
		}
	}
	t.Logf("%d jobs in %v: %s; events %v", len(list), lasted.Round(time.Second), record, told)
	for reason, n := range told {
		if n > record.Scalings()+2 {
			t.Errorf("%d events %s for %d changes of replicas", n, reason, record.Scalings())
		}
	}
}
