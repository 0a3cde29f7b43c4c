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
	playedStart = 2 * time.Second        // a worker takes this long to start
	playedStep  = 100 * time.Millisecond // time between two looks at what happens
)

// played is a job server with a recorded load, and the workers of one pool.
type played struct {
	begin    time.Time
	load     *sim.Workload
	next     int // job of the load
	slots    int // of a worker
	function []string
	queue    []sim.Job
	counters map[string]*telemetry.Counters
	workers  []*playedWorker
	made     int
}

// playedWorker is a pod or a process.
type playedWorker struct {
	uid                         string
	created, readyAt, busySince time.Time
	stopping                    bool
	cost                        int32
	jobs                        []playedJob
}

type playedJob struct {
	sim.Job
	ends time.Time
}

func (p *played) add(now time.Time) *playedWorker {
	p.made++
	w := &playedWorker{uid: fmt.Sprintf("worker-%03d", p.made), created: now}
	p.workers = append(p.workers, w)
	return w
}

func (p *played) name(j *sim.Job) string { return p.load.Functions[j.Function] }

// step lets everything happen up to now. A worker that stops ends when its last job has.
func (p *played) step(now time.Time) {
	for ; p.next < len(p.load.Jobs) && p.load.Jobs[p.next].At <= now.Sub(p.begin).Seconds(); p.next++ {
		if j := p.load.Jobs[p.next]; slices.Contains(p.function, p.name(&j)) {
			p.queue = append(p.queue, j)
		}
	}
	for _, w := range p.workers {
		before := len(w.jobs)
		w.jobs = slices.DeleteFunc(w.jobs, func(j playedJob) bool {
			done := !j.ends.After(now)
			if done {
				c := p.counters[p.name(&j.Job)]
				c.OK++
				c.OKMillis += int64(j.Seconds * 1000)
				c.BusyMillis += int64(j.Seconds * 1000)
			}
			return done
		})
		if w.readyAt.IsZero() && now.Sub(w.created) >= playedStart {
			w.readyAt, w.busySince = now, now
		}
		for !w.readyAt.IsZero() && !w.stopping && len(w.jobs) < p.slots && len(p.queue) > 0 {
			j := p.queue[0]
			p.queue = p.queue[1:]
			w.jobs = append(w.jobs, playedJob{j, now.Add(time.Duration(float64(j.Seconds) * float64(time.Second)))})
		}
		if len(w.jobs) != before {
			w.busySince = now
		}
	}
	p.workers = slices.DeleteFunc(p.workers, func(w *playedWorker) bool { return w.stopping && len(w.jobs) == 0 })
}

// sample is what the poller would report.
func (p *played) sample(now time.Time) backlog.Sample {
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

func (p *played) live() (n int32) {
	for _, w := range p.workers {
		if !w.stopping {
			n++
		}
	}
	return n
}

// taken is a decision, the order to grow that comes of it, and the replicas after it.
type taken struct {
	at               time.Duration
	decided, ordered int32
	reason           scaling.Reason
	limited          scaling.Limit
	held             scaling.Hold
	replicas         int32
}

// side is one of the two that decide.
type side interface {
	decide(now time.Time) taken
	step(now time.Time)
}

// machine is gearmanctl up, with played processes.
type machine struct {
	*played
	pool *pool
}

// playedProgram is a process that stops when it is told to.
type playedProgram struct{ *playedWorker }

func (p playedProgram) signal(syscall.Signal) { p.stopping = true }
func (p playedProgram) kill()                 { p.jobs = nil }

func newMachine(t *testing.T, spec *v1alpha1.GearmanWorkerPool, p *played) *machine {
	t.Helper()
	f := &Fleet{
		o: Options{StateDir: t.TempDir()}, log: slog.New(slog.DiscardHandler),
		watcher: backlog.New(backlog.Options{Logger: slog.New(slog.DiscardHandler)}),
	}
	f.launch = func(w *process) error {
		played := p.add(w.created)
		w.uid, w.name, w.program = played.uid, played.uid, playedProgram{played}
		return nil
	}
	plan, err := f.planFor(spec)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{played: p, pool: &pool{fleet: f, key: plan.key}}
	if err := m.pool.use(plan); err != nil {
		t.Fatal(err)
	}
	return m
}

// judge decides, and does nothing else.
func (m *machine) judge(now time.Time) taken {
	sample := m.sample(now)
	ask := func(string) bool { return true }
	if !m.pool.decideOn(&sample, now, ask) {
		for _, f := range m.function {
			m.pool.verdicts.Answer(f, backlog.Runnable, now)
		}
		m.pool.decideOn(&sample, now, ask)
	}
	d := &m.pool.decision
	return taken{
		decided: d.Replicas, ordered: max(d.Replicas, m.pool.order.Replicas), reason: d.Reason, limited: d.Limited,
		held: d.Held,
	}
}

func (m *machine) decide(now time.Time) taken {
	d := m.judge(now)
	m.pool.apply(now)
	d.replicas = m.pool.replicas
	return d
}

func (m *machine) step(now time.Time) {
	m.played.step(now)
	m.pool.processes = slices.DeleteFunc(m.pool.processes, func(w *process) bool {
		i := slices.IndexFunc(m.workers, func(q *playedWorker) bool { return q.uid == w.uid })
		if i < 0 {
			w.kill.Stop()
			return true
		}
		w.readyAt = m.workers[i].readyAt
		return false
	})
	m.pool.act(now)
}

// mirror has the machine see the workers of another side as its own.
func (m *machine) mirror(replicas int32) {
	m.pool.replicas, m.pool.processes = replicas, nil
	for _, w := range m.workers {
		m.pool.processes = append(m.pool.processes, &process{
			pool: m.pool, uid: w.uid, name: w.uid, hash: m.pool.plan.hash, created: w.created, readyAt: w.readyAt,
			stopping: w.stopping,
		})
	}
}

// operator is the operator's record, with a played Deployment: its costs decide which pods its
// ReplicaSet removes.
type operator struct {
	*played
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

func newOperator(t *testing.T, pool *v1alpha1.GearmanWorkerPool, p *played) *operator {
	t.Helper()
	o := &operator{
		before: func(time.Time, int32) {}, played: p,
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
	synctest.Wait()                            // it begins by deciding on all pools: there are none yet
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return o
}

func (o *operator) decide(now time.Time) taken {
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
	return taken{
		decided: d.Replicas, ordered: max(d.Replicas, plan.Order.Replicas), reason: d.Reason, limited: d.Limited,
		held: d.Held, replicas: plan.Replicas,
	}
}

// replace is the ReplicaSet's part: pods that are not ready go first, then those with the lowest
// cost, then the newest.
func (o *operator) replace(now time.Time) {
	for o.live() < o.want {
		o.add(now)
	}
	live := slices.DeleteFunc(slices.Clone(o.workers), func(w *playedWorker) bool { return w.stopping })
	slices.SortStableFunc(live, func(a, b *playedWorker) int {
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

// decisions plays the load, and returns all decisions.
func decisions(s side, begin time.Time, poll, length time.Duration) []taken {
	var all []taken
	for now := begin; now.Sub(begin) < length; now = now.Add(playedStep) {
		s.step(now)
		if now.Sub(begin)%poll == 0 {
			d := s.decide(now)
			d.at = now.Sub(begin)
			all = append(all, d)
		}
		time.Sleep(playedStep)
	}
	return all
}

// length is how long a load is played: an hour, and until all is quiet again.
const length = 4200 * time.Second

// The same file and the same load lead to the same decisions on a machine and in a cluster.
//
// What differs is how fewer replicas come about: in a cluster pods are marked first, and go one
// poll later at the earliest, since Kubernetes chooses by the marks; a machine stops idle workers
// at once. So the decisions are compared twice: in the same state, in which they must be equal, and
// each with its own workers, which may differ by what that delay makes.
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
				var machine, cluster []taken
				synctest.Test(t, func(t *testing.T) {
					p := newPlayed(pool, load)
					machine = decisions(newMachine(t, pool, p), p.begin, policy.Poll(&pool.Spec), length)
				})
				synctest.Test(t, func(t *testing.T) {
					p := newPlayed(pool, load)
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

func newPlayed(pool *v1alpha1.GearmanWorkerPool, load *sim.Workload) *played {
	p := &played{
		begin: time.Now(), load: load, slots: int(max(1, pool.Spec.Concurrency)),
		function: policy.Functions(&pool.Spec),
		counters: map[string]*telemetry.Counters{},
	}
	for _, f := range p.function {
		p.counters[f] = &telemetry.Counters{}
	}
	return p
}

// testSameState lets the operator act, and the machine decide beside it on the same workers.
func testSameState(t *testing.T, pool *v1alpha1.GearmanWorkerPool, load *sim.Workload) {
	p := newPlayed(pool, load)
	m, o := newMachine(t, pool, p), newOperator(t, pool, p)
	var beside []taken
	o.before = func(now time.Time, replicas int32) {
		m.mirror(replicas)
		beside = append(beside, m.judge(now))
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

// compareLoops compares decisions of sides that acted on them. The operator has as many replicas as
// the machine or more for a while after it wants fewer, so that growth may come a little later, and
// smaller.
func compareLoops(t *testing.T, machine, cluster []taken) {
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
