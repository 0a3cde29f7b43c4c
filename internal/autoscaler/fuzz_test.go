package autoscaler

import (
	"math"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/backlog/backlogtest"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// fuzzRounds is the number of decisions on each input, one a second.
const fuzzRounds = 10

// FuzzPollAndDecide: whatever a job server answers, decisions on its pool stay within the pool's
// bounds and are valid, no pod is removed while the job server gives no answer, and a pool on
// another job server gets the pods that it would get alone.
func FuzzPollAndDecide(f *testing.F) {
	f.Add([]byte("f\t5\t2\t1\n.\n"), []byte(".\n"))
	f.Add([]byte("f\t0\t0\t0\n.\n"), []byte("1 10.0.9.1 gwp1;u=0a1b2c3d;s=7;b=1;c=4;n=9;t=700;p=pool-1 : f\n.\n"))
	f.Add(
		[]byte("f\t9223372036854775807\t9223372036854775807\t4294967295\n.\n"),
		[]byte("1 10.0.9.1 gwp1;u=0a1b2c3d;s=7;b=4294967295;c=1 : f\n.\n"),
	)
	f.Add([]byte("f\t-1\t-9\t0\nf\t1\t1\t1\n.\n"), []byte("x\n.\n"))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), []byte(""))
	f.Add([]byte("f\t1\t0\t0\nf\xff\t9\t0\t0\n"), []byte(".\n.\n"))
	f.Fuzz(func(t *testing.T, status, workers []byte) {
		synctest.Test(t, func(t *testing.T) {
			r := newFuzzRun(t, status, workers)
			for range fuzzRounds {
				time.Sleep(time.Second)
				r.decide(t)
			}
			if got := r.good.pool.observed.Workload.Replicas; got != 10 {
				t.Errorf("a pool with 40 jobs on another job server has %d replicas, want 10", got)
			}
		})
	})
}

// fuzzRun is one poller with two pools: one on the job server whose answers are fuzzed, and one on
// another job server.
type fuzzRun struct {
	watcher       *backlog.Watcher
	hostile, good fuzzPool
}

type fuzzPool struct {
	key  backlog.PoolKey
	pool Pool
}

func newFuzzRun(t *testing.T, status, workers []byte) *fuzzRun {
	t.Helper()
	w := backlogtest.Watch(t, backlog.Options{Timeout: time.Second}, map[string]backlogtest.Answers{
		"10.0.0.1": {"status": status, "workers": workers},
		"10.0.0.2": {"status": []byte("f\t40\t0\t0\n.\n"), "workers": []byte(".\n")},
	})
	r := &fuzzRun{watcher: w}
	now := time.Now()
	for pool, server := range map[*fuzzPool]string{&r.hostile: "10.0.0.1", &r.good: "10.0.0.2"} {
		pool.key = backlog.PoolKey{Namespace: "ns", Name: server}
		spec, err := NewSpec(&v1alpha1.GearmanWorkerPool{Spec: v1alpha1.GearmanWorkerPoolSpec{
			Servers: []v1alpha1.ServerAddress{v1alpha1.ServerAddress(server)}, Function: "f", MinReplicas: 1,
			MaxReplicas: 10, Concurrency: 1,
		}})
		if err != nil {
			t.Fatal(err)
		}
		pool.pool.used, pool.pool.state = spec, scaling.NewState(scaling.Learnt{}, now)
		pod := workload.Pod{Name: "pool-1", UID: "0a1b2c3d-0000", Created: now, Ready: true, ReadySince: now}
		pool.pool.observed = Observed{Workload: workload.State{Exists: true, Replicas: 2}, Pods: []workload.Pod{pod}}
		if err := w.Set(
			pool.key, backlog.Subscription{Servers: []string{server}, Functions: []string{"f"}, Period: time.Second},
		); err != nil {
			t.Fatal(err)
		}
	}
	w.SetPods(r.hostile.key, []backlog.PodRef{{UID: "0a1b2c3d-0000", Name: "pool-1", IP: "10.0.9.1"}})
	return r
}

// decide decides on each pool, applies the decision, and checks it.
func (r *fuzzRun) decide(t *testing.T) {
	t.Helper()
	for _, p := range []*fuzzPool{&r.hostile, &r.good} {
		sample, ok := r.watcher.Sample(p.key, time.Now())
		if !ok {
			t.Fatal("a pool is not known")
		}
		before := p.pool.observed.Workload.Replicas
		p.pool.Decide(sample, time.Now(), func(string) bool { return false })
		d := p.pool.view.Decision
		if d.Replicas < 1 || d.Replicas > 10 {
			t.Errorf("%s: %d replicas are not within 1 to 10", p.key, d.Replicas)
		}
		if silent := !sample.Servers[0].Fresh; silent && d.Apply && d.Replicas < before {
			t.Errorf("%s: from %d to %d replicas without an answer", p.key, before, d.Replicas)
		}
		terms := reflect.ValueOf(d.Terms)
		for i := range terms.NumField() {
			if x := terms.Field(i).Float(); math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
				t.Errorf("%s: %s is %v", p.key, terms.Type().Field(i).Name, x)
			}
		}
		if d.OldestWait < 0 || d.JobTime < 0 {
			t.Errorf("%s: oldest wait %v, job time %v", p.key, d.OldestWait, d.JobTime)
		}
		if d.Apply {
			p.pool.observed.Workload.Replicas = d.Replicas
		}
	}
}
