package world

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/test/world/kube"
	"github.com/gearman-operator/gearman-operator/test/world/wire"
)

const (
	namespace = "jobs"
	// noProgress is how long a world whose faults have ended waits for a job to complete. A pool
	// without pods whose replicas are contested isn't scaled for ten minutes.
	noProgress = 12 * time.Minute
	// forgotten is how long an operator without pools takes to drop all data about them, including
	// their job servers' addresses.
	forgotten = time.Minute
)

// World is one run of a plan.
type World struct {
	plan      *Plan
	trace     *trace
	ledger    *ledger
	kube      *kube.Server
	workloads *kube.Workloads
	nodes     *kube.Nodes
	net       *wire.Network
	names     *names
	servers   []*gearmantest.Server
	product   *product        // used by the faults' goroutine, and before and after it
	edits     map[int][]*edit // of pools; used by the faults' goroutine
	tls       *tlsMaterial    // nil: the job servers don't speak TLS
	journals  journals
	dnsDown   atomic.Bool
	broken    []atomic.Int32 // by pool: the faults that make its command missing
	monitor   *monitor
	kept      map[string]int // what the operator still counted once all pools were gone
	wg        sync.WaitGroup // what must end before the job servers do

	mu         sync.Mutex
	lives      int
	operators  int
	processes  map[string]*process // by the pod's uid
	violations []Violation
}

// Run runs a plan. It must be called in a synctest bubble.
func Run(plan *Plan) *Result {
	w := &World{
		plan: plan, trace: newTrace(), ledger: newLedger(), kube: kube.NewServer(plan.Seed), net: wire.New(plan.Seed),
		processes: map[string]*process{}, edits: map[int][]*edit{}, journals: journals{ofPod: map[string]*journal{}},
	}
	w.names = &names{w}
	w.broken = make([]atomic.Int32, len(plan.Pools))
	w.build()
	ctx, stop := context.WithCancel(context.Background())
	var cluster sync.WaitGroup
	cluster.Go(func() { w.workloads.Run(ctx) })
	cluster.Go(func() { w.nodes.Run(ctx) })
	w.monitor = newMonitor(w)
	cluster.Go(func() { w.monitor.run(ctx) })
	w.createPools()
	w.lead()
	w.play()
	w.settle()
	w.forget()
	w.product.end()
	for _, verb := range w.kube.Unknown() {
		w.fail("the operator made a request that is not played: %s", verb)
	}
	stop()
	cluster.Wait()
	w.wg.Wait()
	for _, s := range w.servers {
		s.Close()
	}
	w.net.Wait()
	w.tls.remove()
	return w.result()
}

func (w *World) build() {
	if w.plan.TLS {
		w.tls = newTLSMaterial(w.plan.Servers)
	}
	for i := range w.plan.Servers {
		options := gearmantest.InMemory(serverAddr(i))
		if w.tls != nil {
			options.TLS = w.tls.config(i)
		}
		s := gearmantest.NewServer(options)
		w.servers = append(w.servers, s)
		w.net.Add(serverAddr(i), s.DialContext)
	}
	w.kube.Skew = w.plan.Skews.API
	w.workloads = kube.NewWorkloads(w.kube, w.plan.Seed)
	nodes := make([]*kube.Node, 0, w.plan.Nodes)
	for i := range w.plan.Nodes {
		nodes = append(nodes, &kube.Node{Name: nodeName(i), Capacity: w.plan.PerNode, Skew: w.plan.Skews.Nodes[i]})
	}
	w.nodes = kube.NewNodes(w.kube, w.plan.Seed, nodes, w.start, w.trace.add)
	w.kube.Observe(w.observe)
}

func (w *World) key(pool int) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: w.plan.Pools[pool].Name}
}

func (w *World) commandBroken(pool int) bool { return w.broken[pool].Load() > 0 }

func (w *World) poolNamed(name string) int {
	return slices.IndexFunc(w.plan.Pools, func(p PoolPlan) bool { return p.Name == name })
}

func (w *World) createPools() {
	w.createSecret()
	for i := range w.plan.Pools {
		time.Sleep(time.Duration(1+i) * 1234567)
		if w.plan.Pools[i].Target {
			if err := w.createTarget(i); err != nil {
				w.fail("create the target: %v", err)
			}
		}
		if err := w.kube.UserCreate(w.poolOf(i)); err != nil {
			w.fail("create pool: %v", err)
		}
	}
}

// poolOf returns a pool as its users created it.
func (w *World) poolOf(pool int) *v1alpha1.GearmanWorkerPool {
	plan := &w.plan.Pools[pool]
	p := &v1alpha1.GearmanWorkerPool{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: plan.Name}}
	s := &p.Spec
	for _, i := range plan.Servers {
		if plan.Named {
			s.Servers = append(s.Servers, v1alpha1.ServerAddress(serverName(i)+":4730"))
		} else {
			s.Servers = append(s.Servers, v1alpha1.ServerAddress(serverAddr(i)))
		}
	}
	for _, f := range plan.Functions {
		s.Functions = append(s.Functions, v1alpha1.FunctionName(f))
	}
	if plan.Target {
		s.TargetRef = &v1alpha1.TargetRef{Kind: plan.kindOfTarget(), Name: plan.Name}
	} else {
		s.Image, s.Runtime = "worker:1", &v1alpha1.RuntimeSpec{
			Exec: &v1alpha1.ExecRuntime{Command: []string{"/work"}}, Retry: plan.retrySpec(),
		}
	}
	s.MinReplicas, s.MaxReplicas, s.Concurrency, s.DrainSeconds = plan.Min, plan.Max, plan.Concurrency, &plan.Drain
	if w.plan.TLS {
		s.TLS = &v1alpha1.TLSSpec{CASecret: &v1alpha1.SecretKey{Name: caSecret}}
	}
	s.Scaling = &v1alpha1.ScalingSpec{}
	plan.scalingOf(s.Scaling)
	if plan.Poll > 0 {
		s.Scaling.PollSeconds = &plan.Poll
	}
	if plan.Graceful {
		s.Scaling.PodRemoval = v1alpha1.PodRemovalGraceful
	}
	return p
}

// lead starts an operator that leads at once.
func (w *World) lead() {
	if w.product != nil {
		w.product.end() // if two faults overlap, there is still one leader
	}
	if p := w.newProduct(); p != nil {
		w.product = p
		p.lead()
	}
}

// newProduct starts an operator that waits to lead.
func (w *World) newProduct() *product {
	w.mu.Lock()
	w.operators++
	n := w.operators
	w.mu.Unlock()
	w.trace.add("operator %d starts", n)
	p, err := w.startProduct(n)
	if err != nil {
		w.fail("start the operator: %v", err)
		return nil
	}
	return p
}

// play submits the jobs and starts the faults, until the plan's time is over and all faults have
// ended.
func (w *World) play() {
	var wg sync.WaitGroup
	for i := range w.plan.Pools {
		for n, s := range w.plan.Pools[i].Streams {
			wg.Go(func() { w.submit(i, n, &s) })
		}
	}
	type moment struct {
		at time.Duration
		f  func()
	}
	moments := make([]moment, 0, 2*len(w.plan.Faults))
	for i, f := range w.plan.Faults {
		var end func()
		odd := time.Duration(i+1) * 1009 // nanoseconds: no two share an instant
		moments = append(moments, moment{f.At + odd, func() {
			w.trace.add("FAULT %s", f)
			w.monitor.fault(f)
			end = kindNamed(f.Kind).begin(w, f)
		}}, moment{f.At + f.For + odd, func() {
			w.trace.add("END of %s", f.Kind)
			end()
		}})
	}
	slices.SortFunc(moments, func(a, b moment) int { return int(a.at - b.at) })
	for _, m := range moments {
		time.Sleep(m.at - time.Since(w.trace.began))
		m.f()
	}
	wg.Wait()
	time.Sleep(w.plan.For - time.Since(w.trace.began))
}

// submit submits a stream's jobs.
func (w *World) submit(pool, n int, s *Stream) {
	r := rand.New(rand.NewPCG(w.plan.Seed, uint64(pool*1000+n)))
	p := &w.plan.Pools[pool]
	time.Sleep(s.At)
	one := func(i int) {
		server := p.Servers[(i+r.IntN(2))%len(p.Servers)]
		if s.ServerSkew {
			server = p.Servers[0]
		}
		takes := min(time.Duration(float64(s.Mean)*(1+s.Spread*(2*r.Float64()-1))), maxJobTime)
		fails := 0
		if p.Backoff > 0 {
			fails = failures(r)
		}
		j := w.ledger.submit(pool, s.Function, server, takes, fails, time.Now())
		w.trace.fine("submit %s", j)
		w.servers[server].Submit(s.Function, "", []byte(strconv.Itoa(j.id)))
	}
	for i := range s.AtOnce {
		one(i)
		time.Sleep(time.Duration(1000 + r.IntN(100000)))
	}
	for i, until := 0, time.Now().Add(s.For); s.PerSecond > 0; i++ {
		time.Sleep(time.Duration(r.ExpFloat64() * float64(time.Second) / s.PerSecond))
		if time.Now().After(until) {
			return
		}
		one(i)
	}
}

// settle waits until all jobs have completed, or none has for so long that the remaining ones never
// will.
func (w *World) settle() {
	last, left := time.Now(), w.ledger.unfinished()
	for left > 0 && time.Since(last) < noProgress {
		time.Sleep(time.Second + 7)
		if n := w.ledger.unfinished(); n < left {
			last, left = time.Now(), n
		}
	}
	time.Sleep(10 * time.Second) // for results in flight
}

// forget deletes all pools and gives the operator time to drop its data about them.
func (w *World) forget() {
	for i := range w.plan.Pools {
		w.kube.UserDelete(kube.KindPool, w.key(i))
	}
	w.monitor.finish()
	time.Sleep(forgotten)
	w.kept = w.product.counts()
}

func (w *World) addProcess(uid string, p *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.processes[uid] = p
}

func (w *World) processOf(uid string) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.processes[uid]
}

// anyProcess returns one of the running processes.
func (w *World) anyProcess(n int) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	var uids []string
	for uid, p := range w.processes {
		select {
		case <-p.done:
		default:
			uids = append(uids, uid)
		}
	}
	if len(uids) == 0 {
		return nil
	}
	slices.Sort(uids)
	return w.processes[uids[n%len(uids)]]
}

// fail records that the world itself could not continue.
func (w *World) fail(format string, args ...any) {
	v := Violation{Invariant: "runtime", At: time.Since(w.trace.began), Message: fmt.Sprintf(format, args...)}
	w.trace.add("VIOLATION of %s: %s", v.Invariant, v.Message)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violations = append(w.violations, v)
}
