package world

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/gearman-operator/gearman-operator/gearman/worker"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
	"github.com/gearman-operator/gearman-operator/test/world/kube"
	"github.com/gearman-operator/gearman-operator/test/world/wire"
)

// process is a pod's container: the real worker with the real options and telemetry, and jobs that only take time. The runtime's own job loop starts programs and
// serves HTTP, which a bubble can't.
type process struct {
	w        *World
	pod      string
	pool     int
	drain    time.Duration // what the user allows a job to finish: not what the pod says, which the product wrote
	skew     time.Duration // by how much its machine's clock is ahead
	host     *wire.Host
	worker   *worker.Worker
	reporter *telemetry.Reporter
	edge     chan struct{}
	stop     context.CancelFunc // SIGTERM
	die      context.CancelFunc // SIGKILL
	dying    context.Context
	stopping atomic.Bool
	lost     atomic.Bool // its machine died: nobody closes its connections
	done     chan struct{}

	mu      sync.Mutex
	excuse  string // the fault that ended it
	started map[int]time.Time
}

const (
	announceEvery = time.Second
	edgeEvery     = 50 * time.Millisecond
	linger        = 6 * time.Second
)

// start is the kubelet's.
func (w *World) start(pod *corev1.Pod) kube.Process {
	p := &process{w: w, pod: pod.Name, edge: make(chan struct{}, 1), done: make(chan struct{}), started: map[int]time.Time{}}
	p.pool = w.poolNamed(pod.Labels[kube.DeploymentLabel])
	p.skew = w.plan.skewOf(pod.Spec.NodeName)
	p.drain = time.Duration(w.plan.Pools[p.pool].Drain) * time.Second
	w.mu.Lock()
	w.lives++
	life := w.lives
	w.mu.Unlock()
	p.host = w.net.Host(fmt.Sprintf("%s/%d", pod.UID, life))
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.dying, p.die = context.WithCancel(context.Background())
	o, err := podOptions(pod)
	if err != nil {
		w.fail("pod %s can't start: %v", pod.Name, err)
		stop()
		close(p.done)
		return p
	}
	if err := p.make(pod, o); err != nil {
		w.fail("pod %s can't start: %v", pod.Name, err)
		stop()
		close(p.done)
		return p
	}
	w.addProcess(string(pod.UID), p)
	w.trace.add("%s runs on %s", pod.Name, pod.Spec.NodeName)
	w.wg.Go(func() { p.run(ctx) })
	return p
}

// podOptions are what the runtime makes of the container's command and environment.
func podOptions(pod *corev1.Pod) (*options.Options, error) {
	i := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == "worker" })
	if i < 0 {
		return nil, errors.New("no container named worker")
	}
	c := &pod.Spec.Containers[i]
	env := map[string]string{"GEARMAN_WORKER_POD_UID": string(pod.UID), "GEARMAN_WORKER_POD_NAME": pod.Name}
	if len(c.Command) != 2 {
		return nil, fmt.Errorf("command %q", c.Command)
	}
	return options.Parse(options.Mode(c.Command[1]), c.Args, options.Environment{
		Lookup:   func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		ReadFile: func(name string) ([]byte, error) { return nil, fmt.Errorf("no file %s", name) },
	})
}

// now is its machine's clock.
func (p *process) now() time.Time { return time.Now().Add(p.skew) }

func (p *process) make(pod *corev1.Pod, o *options.Options) (err error) {
	p.reporter, err = telemetry.NewReporter(string(pod.UID), pod.Name, p.now(), o.Concurrency, o.FunctionNames())
	if err != nil {
		return err
	}
	p.worker, err = worker.New(worker.Options{
		Servers: o.Servers, Concurrency: o.Concurrency, DrainTimeout: o.DrainTimeout, Dialer: p.host.DialContext, Resolver: p.w.names, Linger: linger,
		ClientID: func(slot int) string {
			if slot > 0 {
				return p.reporter.Brief()
			}
			id, _ := p.reporter.Next(p.now())
			return id
		},
		Hooks: worker.Hooks{JobStart: p.jobStarts, JobDone: p.jobDone},
	})
	if err != nil {
		return err
	}
	for _, f := range o.FunctionNames() {
		if err := p.worker.Handle(f, p.handle); err != nil {
			return err
		}
	}
	return nil
}

func (p *process) run(ctx context.Context) {
	defer close(p.done)
	var wg sync.WaitGroup
	announcing, stop := context.WithCancel(context.Background())
	wg.Go(func() { p.announce(announcing) })
	wg.Go(func() { // SIGKILL: nothing that is under way arrives
		select {
		case <-p.dying.Done():
			_ = p.worker.StopAndCancel(announcing) // until Run has returned
		case <-announcing.Done():
		}
	})
	err := p.worker.Run(ctx)
	if !p.lost.Load() {
		p.host.Kill()
	}
	stop()
	wg.Wait()
	p.w.trace.add("%s has ended: %v", p.pod, err)
}

// announce is what the runtime's announcer does.
func (p *process) announce(ctx context.Context) {
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	busyBefore := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.edge:
			if t := time.NewTimer(edgeEvery); true {
				select {
				case <-ctx.Done():
				case <-t.C:
				}
				t.Stop()
			}
		case <-tick.C:
			busy := p.reporter.Busy() > 0
			news := busy || busyBefore
			busyBefore = busy
			if !news {
				continue
			}
		}
		_ = p.worker.RenewClientID(0) // a connection that fails here is reported by its reader
	}
}

func (p *process) signal() {
	select {
	case p.edge <- struct{}{}:
	default:
	}
}

func jobID(j *worker.Job) int {
	id, err := strconv.Atoi(string(j.Payload()))
	if err != nil {
		panic(fmt.Sprintf("world: workload %q", j.Payload())) // a fault of the library, or of the job server
	}
	return id
}

func (p *process) jobStarts(j *worker.Job) {
	now := time.Now()
	p.mu.Lock()
	p.started[jobID(j)] = now
	p.mu.Unlock()
	p.reporter.Start(j.Function(), now.Add(p.skew))
	p.w.ledger.start(jobID(j), p.pod, now)
	p.w.trace.fine("job %d starts on %s", jobID(j), p.pod)
	p.signal()
}

func (p *process) jobDone(j *worker.Job, d worker.Done) {
	now, id := time.Now(), jobID(j)
	p.mu.Lock()
	began := p.started[id]
	delete(p.started, id)
	p.mu.Unlock()
	outcome := telemetry.Requeued
	if d.Outcome == worker.Complete {
		outcome = telemetry.OK
	}
	p.reporter.End(j.Function(), began.Add(p.skew), now.Add(p.skew), outcome)
	p.w.ledger.end(id, p.pod, d.Outcome.String(), d.Outcome == worker.Complete, now)
	p.w.trace.fine("job %d on %s: %s", id, p.pod, d.Outcome)
	p.signal()
}

// handle takes the job's time.
func (p *process) handle(ctx context.Context, j *worker.Job) ([]byte, error) {
	job := p.w.ledger.job(jobID(j))
	t := time.NewTimer(job.takes)
	defer t.Stop()
	select {
	case <-t.C:
		return []byte("ok"), nil
	case <-ctx.Done():
	case <-p.dying.Done():
	}
	p.mu.Lock()
	excuse := p.excuse
	p.mu.Unlock()
	p.w.interrupted(job, p, excuse)
	return nil, worker.ErrRequeue
}

// Ready is part of kube.Process.
func (p *process) Ready() bool {
	if p.stopping.Load() || p.worker == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	case <-p.worker.Ready():
		return true
	default:
		return false
	}
}

// Terminate is part of kube.Process.
func (p *process) Terminate() {
	p.stopping.Store(true)
	p.stop()
}

// Kill is part of kube.Process.
func (p *process) Kill() {
	p.host.Kill()
	p.die()
	p.stop()
}

// crash kills the process as a fault of the world, which excuses what it ends.
func (p *process) crash(excuse string) {
	p.mu.Lock()
	p.excuse = excuse
	p.mu.Unlock()
	p.Kill()
}

// Done is part of kube.Process.
func (p *process) Done() <-chan struct{} { return p.done }

// names is the DNS of a world: server-N is its address.
type names struct{ w *World }

// LookupNetIP is what the worker asks.
func (n *names) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	return n.lookup(ctx, host)
}

func (n *names) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	t := time.NewTimer(n.w.kube.Weather.Between("dns "+host, 200*time.Microsecond, 2*time.Millisecond))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.C:
	}
	if n.w.dnsDown.Load() {
		return nil, fmt.Errorf("lookup %s: server misbehaving", host)
	}
	var i int
	if _, err := fmt.Sscanf(host, "gearmand-%d.jobs", &i); err != nil {
		return nil, fmt.Errorf("lookup %s: no such host", host)
	}
	return []netip.Addr{serverIP(i)}, nil
}

func serverIP(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + i)}) }

func serverAddr(i int) string { return netip.AddrPortFrom(serverIP(i), 4730).String() }

// lose ends the process without a word to anybody: its connections stay open.
func (p *process) lose(excuse string) {
	p.mu.Lock()
	p.excuse = excuse
	p.mu.Unlock()
	p.lost.Store(true)
	p.host.Freeze()
	p.die()
	p.stop()
}
