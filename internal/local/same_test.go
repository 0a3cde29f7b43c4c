package local

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/autoscaler"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/boolean"
	"github.com/gearman-operator/gearman-operator/internal/policy"
	"github.com/gearman-operator/gearman-operator/internal/poolfile"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/sim"
	"github.com/gearman-operator/gearman-operator/internal/sim/report"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

const (
	simulatedStart = 2 * time.Second        // a worker takes this long to start
	simulatedStep  = 100 * time.Millisecond // time between two steps of the simulation
)

// simulated is a job server with a recorded load, and the workers of one pool.
type simulated struct {
	begin    time.Time
	load     *sim.Workload
	next     int // job of the load
	slots    int // of a worker
	function []string
	queue    []sim.Job
	counters map[string]*telemetry.Counters
	workers  []*simulatedWorker
	made     int
}

// simulatedWorker is a pod or a process.
type simulatedWorker struct {
	uid                         string
	created, readyAt, busySince time.Time
	stopping                    bool
	cost                        int32
	jobs                        []simulatedJob
}

type simulatedJob struct {
	sim.Job
	ends time.Time
}

func (p *simulated) add(now time.Time) *simulatedWorker {
	p.made++
	w := &simulatedWorker{uid: fmt.Sprintf("worker-%03d", p.made), created: now}
	p.workers = append(p.workers, w)
	return w
}

func (p *simulated) name(j *sim.Job) string { return p.load.Functions[j.Function] }

// step simulates everything up to now. A worker that stops ends when its last job has.
func (p *simulated) step(now time.Time) {
	for ; p.next < len(p.load.Jobs) && p.load.Jobs[p.next].At <= now.Sub(p.begin).Seconds(); p.next++ {
		if j := p.load.Jobs[p.next]; slices.Contains(p.function, p.name(&j)) {
			p.queue = append(p.queue, j)
		}
	}
	for _, w := range p.workers {
		before := len(w.jobs)
		w.jobs = slices.DeleteFunc(w.jobs, func(j simulatedJob) bool {
			done := !j.ends.After(now)
			if done {
				c := p.counters[p.name(&j.Job)]
				c.OK++
				c.OKMillis += int64(j.Seconds * 1000)
				c.BusyMillis += int64(j.Seconds * 1000)
			}
			return done
		})
		if w.readyAt.IsZero() && now.Sub(w.created) >= simulatedStart {
			w.readyAt, w.busySince = now, now
		}
		for !w.readyAt.IsZero() && !w.stopping && len(w.jobs) < p.slots && len(p.queue) > 0 {
			j := p.queue[0]
			p.queue = p.queue[1:]
			w.jobs = append(w.jobs, simulatedJob{j, now.Add(time.Duration(float64(j.Seconds) * float64(time.Second)))})
		}
		if len(w.jobs) != before {
			w.busySince = now
		}
	}
	p.workers = slices.DeleteFunc(p.workers, func(w *simulatedWorker) bool { return w.stopping && len(w.jobs) == 0 })
}

// sample is what the poller would report.
func (p *simulated) sample(now time.Time) backlog.Sample {
	s := backlog.Sample{Time: now, Servers: []backlog.ServerSample{{
		Address: "jobs.example.com:4730", Resolved: netip.MustParseAddrPort("192.0.2.1:4730"), State: backlog.StateOK,
		Fresh: true, LastGood: now, Since: p.begin,
	}}}
	for _, name := range p.function {
		f := backlog.FunctionSample{Name: name, Counters: *p.counters[name]}
		for i := range p.queue {
			if p.name(&p.queue[i]) == name {
				f.Queued++
			}
		}
		for _, w := range p.workers {
			for _, j := range w.jobs {
				if p.name(&j.Job) == name {
					f.Running++
				}
			}
		}
		f.Total, f.LongestQueue = f.Queued+f.Running, f.Queued
		s.Functions = append(s.Functions, f)
	}
	for _, w := range p.workers {
		if !w.readyAt.IsZero() {
			s.Pods = append(s.Pods, backlog.PodSample{
				UID: w.uid, Name: w.uid, Busy: len(w.jobs), Capacity: p.slots, BusySince: w.busySince,
				FirstSeen: w.readyAt, LastSeen: now,
			})
		}
	}
	return s
}

func (p *simulated) live() (n int32) {
	for _, w := range p.workers {
		if !w.stopping {
			n++
		}
	}
	return n
}

// decision is a decision, the resulting order, and the replicas after it.
type decision struct {
	at               time.Duration
	decided, ordered int32
	reason           scaling.Reason
	limited          scaling.Limit
	held             scaling.Hold
	replicas         int32
}

// side is one of the two implementations.
type side interface {
	decide(now time.Time) decision
	step(now time.Time)
}

// machine is gearmanctl up, with simulated processes.
type machine struct {
	*simulated
	pool *pool
}

// simulatedProgram is a process that stops when it gets a signal.
type simulatedProgram struct{ *simulatedWorker }

func (p simulatedProgram) signal(syscall.Signal) { p.stopping = true }
func (p simulatedProgram) kill()                 { p.jobs = nil }

func newMachine(t *testing.T, spec *v1alpha1.GearmanWorkerPool, p *simulated) *machine {
	t.Helper()
	f := &Fleet{
		o: Options{StateDir: t.TempDir()}, log: slog.New(slog.DiscardHandler),
		watcher: backlog.New(backlog.Options{Logger: slog.New(slog.DiscardHandler)}),
	}
	f.launch = func(w *process) error {
		simulated := p.add(w.created)
		w.uid, w.name, w.program = simulated.uid, simulated.uid, simulatedProgram{simulated}
		return nil
	}
	plan, err := f.planFor(spec)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{simulated: p, pool: &pool{fleet: f, key: plan.key}}
	if err := m.pool.use(plan); err != nil {
		t.Fatal(err)
	}
	return m
}

// decideOnly decides without applying the decision.
func (m *machine) decideOnly(now time.Time) decision {
	sample := m.sample(now)
	requestProbe := func(string) bool { return true }
	if !m.pool.decideOn(&sample, now, requestProbe) {
		for _, f := range m.function {
			m.pool.verdicts.Answer(f, backlog.Runnable, now)
		}
		m.pool.decideOn(&sample, now, requestProbe)
	}
	d := &m.pool.decision
	return decision{
		decided: d.Replicas, ordered: max(d.Replicas, m.pool.order.Replicas), reason: d.Reason, limited: d.Limited,
		held: d.Held,
	}
}

func (m *machine) decide(now time.Time) decision {
	d := m.decideOnly(now)
	m.pool.apply(now)
	d.replicas = m.pool.replicas
	return d
}

func (m *machine) step(now time.Time) {
	m.simulated.step(now)
	m.pool.processes = slices.DeleteFunc(m.pool.processes, func(w *process) bool {
		i := slices.IndexFunc(m.workers, func(q *simulatedWorker) bool { return q.uid == w.uid })
		if i < 0 {
			w.kill.Stop()
			return true
		}
		w.readyAt = m.workers[i].readyAt
		return false
	})
	m.pool.act(now)
}

// copyWorkers makes the machine see the workers of another side as its own.
func (m *machine) copyWorkers(replicas int32) {
	m.pool.replicas, m.pool.processes = replicas, nil
	for _, w := range m.workers {
		m.pool.processes = append(m.pool.processes, &process{
			pool: m.pool, uid: w.uid, name: w.uid, hash: m.pool.plan.hash, created: w.created, readyAt: w.readyAt,
			stopping: w.stopping,
		})
	}
}

// operator is the operator's record, with a simulated Deployment: its costs decide which pods its
// ReplicaSet removes.
type operator struct {
	*simulated
	key   types.NamespacedName
	spec  *autoscaler.Spec
	pools *autoscaler.Autoscaler
	want  int32
	// before is called before each decision, with the replicas.
	before func(now time.Time, replicas int32)
}

// Set, SetPods, Remove, Sample and Runnable make it the operator's job servers.
func (o *operator) Set(backlog.PoolKey, backlog.Subscription) error { return nil }
func (o *operator) SetPods(backlog.PoolKey, []backlog.PodRef)       {}
func (o *operator) Remove(backlog.PoolKey)                          {}
func (o *operator) Sample(_ backlog.PoolKey, now time.Time) (backlog.Sample, bool) {
	return o.sample(now), true
}

func (o *operator) Runnable(context.Context, backlog.PoolKey, string) (backlog.Verdict, error) {
	return backlog.Runnable, nil
}

func newOperator(t *testing.T, pool *v1alpha1.GearmanWorkerPool, p *simulated) *operator {
	t.Helper()
	o := &operator{
		before: func(time.Time, int32) {}, simulated: p,
		key: types.NamespacedName{Namespace: pool.Namespace, Name: pool.Name},
	}
	var err error
	if o.spec, err = autoscaler.NewSpec(pool); err != nil {
		t.Fatal(err)
	}
	o.pools = autoscaler.New(o, autoscaler.Options{Random: func() float64 { return 0.5 }})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.pools.Start(ctx) }() // it answers probes
	synctest.Wait()                            // it starts with a decision on all pools: there are none yet
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return o
}

func (o *operator) decide(now time.Time) decision {
	o.before(now, o.want)
	observed := autoscaler.Observed{Workload: workload.State{Exists: true, Replicas: o.want, Current: o.live()}}
	for _, w := range o.workers {
		ready := !w.readyAt.IsZero() && !w.stopping
		pod := workload.Pod{
			Name: w.uid, UID: w.uid, Created: w.created, Ready: ready, Terminating: w.stopping, Cost: w.cost,
		}
		if ready {
			pod.ReadySince = w.readyAt
			observed.Workload.Ready++
		}
		observed.Pods = append(observed.Pods, pod)
	}
	v := o.pools.Observe(o.key, o.spec, observed, scaling.Learnt{})
	if !v.At.Equal(now) { // it waits for a verdict
		synctest.Wait()
		v = o.pools.Observe(o.key, o.spec, observed, scaling.Learnt{})
	}
	var plan autoscaler.Plan
	o.pools.Do(o.key, func(p *autoscaler.Pool) {
		plan = p.PlanReplicas(&observed.Workload, observed.Pods, scaling.KindOwned, &v, now)
	})
	for _, c := range plan.Costs {
		for _, w := range o.workers {
			if w.uid == c.Pod {
				w.cost = c.Cost
			}
		}
	}
	o.want = plan.Replicas
	o.replace(now)
	d := &v.Decision
	return decision{
		decided: d.Replicas, ordered: max(d.Replicas, plan.Order.Replicas), reason: d.Reason, limited: d.Limited,
		held: d.Held, replicas: plan.Replicas,
	}
}

// replace simulates the ReplicaSet: pods that are not ready are removed first, then those with the
// lowest cost, then the newest.
func (o *operator) replace(now time.Time) {
	for o.live() < o.want {
		o.add(now)
	}
	live := slices.DeleteFunc(slices.Clone(o.workers), func(w *simulatedWorker) bool { return w.stopping })
	slices.SortStableFunc(live, func(a, b *simulatedWorker) int {
		return cmp.Or(
			cmp.Compare(boolean.Int(!a.readyAt.IsZero()), boolean.Int(!b.readyAt.IsZero())),
			cmp.Compare(a.cost, b.cost),
			b.created.Compare(a.created),
		)
	})
	for _, w := range live[:max(0, len(live)-int(o.want))] {
		w.stopping = true
	}
}

// decisions simulates the load, and returns all decisions.
func decisions(s side, begin time.Time, poll, length time.Duration) []decision {
	var all []decision
	for now := begin; now.Sub(begin) < length; now = now.Add(simulatedStep) {
		s.step(now)
		if now.Sub(begin)%poll == 0 {
			d := s.decide(now)
			d.at = now.Sub(begin)
			all = append(all, d)
		}
		time.Sleep(simulatedStep)
	}
	return all
}

// length is how long a load is simulated: an hour, and until all is idle again.
const length = 4200 * time.Second

// The same file and the same load lead to the same decisions on a machine and in a cluster.
//
// The difference is how fewer replicas are reached: in a cluster pods are marked first, and removed
// one poll later at the earliest, since Kubernetes chooses by the marks; a machine stops idle
// workers at once. So the decisions are compared twice: in the same state, in which they must be
// equal, and each with its own workers, which may differ by that delay.
func TestSameDecisionsAsTheOperator(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"target-wait", "ratio", "bounded"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, load := readSame(t, name)
			t.Run("in the same state", func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { testSameState(t, pool, load) })
			})
			t.Run("each with its own workers", func(t *testing.T) {
				t.Parallel()
				var machine, cluster []decision
				synctest.Test(t, func(t *testing.T) {
					p := newSimulated(pool, load)
					machine = decisions(newMachine(t, pool, p), p.begin, policy.Poll(&pool.Spec), length)
				})
				synctest.Test(t, func(t *testing.T) {
					p := newSimulated(pool, load)
					cluster = decisions(newOperator(t, pool, p), p.begin, policy.Poll(&pool.Spec), length)
				})
				compareLoops(t, machine, cluster)
			})
		})
	}
}

func readSame(t *testing.T, name string) (*v1alpha1.GearmanWorkerPool, *sim.Workload) {
	t.Helper()
	content, err := poolfile.Read("testdata/same/"+name+".yaml", poolfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open("testdata/same/load.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	load, err := report.ReadTrace("load.csv", file)
	if err != nil {
		t.Fatal(err)
	}
	return &content.Pools[0], load
}

func newSimulated(pool *v1alpha1.GearmanWorkerPool, load *sim.Workload) *simulated {
	p := &simulated{
		begin: time.Now(), load: load, slots: int(max(1, pool.Spec.Concurrency)),
		function: policy.Functions(&pool.Spec),
		counters: map[string]*telemetry.Counters{},
	}
	for _, f := range p.function {
		p.counters[f] = &telemetry.Counters{}
	}
	return p
}

// testSameState lets the operator act, and the machine decide in parallel on the same workers.
func testSameState(t *testing.T, pool *v1alpha1.GearmanWorkerPool, load *sim.Workload) {
	p := newSimulated(pool, load)
	m, o := newMachine(t, pool, p), newOperator(t, pool, p)
	var beside []decision
	o.before = func(now time.Time, replicas int32) {
		m.copyWorkers(replicas)
		beside = append(beside, m.decideOnly(now))
	}
	most, differ := int32(0), 0
	for i, want := range decisions(o, p.begin, policy.Poll(&pool.Spec), length) {
		got := beside[i]
		got.at, got.replicas = want.at, want.replicas // these are the operator's in both
		if most = max(most, want.decided); got == want {
			continue
		}
		if differ++; differ <= 5 {
			t.Errorf("the machine decides %+v, the operator %+v", got, want)
		}
	}
	if differ > 0 || most < 5 || p.next < len(load.Jobs) || len(p.queue) > 0 {
		t.Errorf(
			"%d of %d decisions differ; at most %d replicas, %d jobs of %d came, %d wait", differ, len(beside), most,
			p.next, len(load.Jobs), len(p.queue),
		)
	}
}

// compareLoops compares decisions of sides that applied them. The operator has as many replicas as
// the machine or more for a while after it wants fewer, so that scale-ups may be a little later and
// smaller.
func compareLoops(t *testing.T, machine, cluster []decision) {
	t.Helper()
	differ, sum := 0, [2]int32{}
	for i := range machine {
		if machine[i].decided != cluster[i].decided {
			differ++
		}
		sum[0] += machine[i].replicas
		sum[1] += cluster[i].replicas
	}
	t.Logf("%d of %d decisions differ; %d and %d replicas in sum", differ, len(machine), sum[0], sum[1])
	if share := float64(differ) / float64(len(machine)); share > 0.1 {
		t.Errorf("%.0f%% of the decisions differ", 100*share)
	}
	if ratio := float64(sum[0]) / float64(sum[1]); ratio < 0.9 || ratio > 1.02 {
		t.Errorf("the machine has %.2f times the workers of the operator", ratio)
	}
}
