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
	"github.com/gearman-operator/gearman-operator/internal/workerruntime"
	runtimejob "github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
	"github.com/gearman-operator/gearman-operator/test/world/kube"
	"github.com/gearman-operator/gearman-operator/test/world/wire"
)

// process is a pod's container: the worker runtime, whose jobs only take time. They use no command,
// stream process or HTTP service, because a bubble can't wait for those.
type process struct {
	w        *World
	pod      string
	pool     int
	drain    time.Duration // what the user allows a job to finish; the pod's own value was written by the product
	host     *wire.Host
	worker   *workerruntime.Played
	die      context.CancelFunc // SIGKILL
	dying    context.Context
	stopping atomic.Bool
	lost     atomic.Bool // its machine died: its connections stay open
	done     chan struct{}

	mu     sync.Mutex
	excuse string // the fault that ended it
}

// start starts a pod's container for the kubelet.
func (w *World) start(pod *corev1.Pod) kube.Process {
	p := &process{w: w, pod: pod.Name, done: make(chan struct{})}
	p.pool = w.poolNamed(pod.Labels[kube.DeploymentLabel])
	p.drain = time.Duration(w.plan.Pools[p.pool].Drain) * time.Second
	if w.plan.Pools[p.pool].Set {
		p.pod += "/" + string(pod.UID[:4]) // a StatefulSet reuses names
	}
	w.mu.Lock()
	w.lives++
	life := w.lives
	w.mu.Unlock()
	p.host = w.net.Host(fmt.Sprintf("%s/%d", pod.UID, life))
	p.dying, p.die = context.WithCancel(context.Background())
	o, err := podOptions(pod)
	if err == nil {
		m := &workerruntime.Machine{
			Dial: p.host.DialContext, LookupIP: w.names.LookupNetIP, Handler: p, Skew: w.plan.skewOf(pod.Spec.NodeName),
			Done: p.jobDone,
		}
		if w.tls != nil {
			o.TLSCA = w.tls.volume()
		}
		if w.plan.Pools[p.pool].Backoff > 0 {
			m.Journal = w.journals.open(string(pod.UID))
		}
		p.worker, err = workerruntime.NewPlayed(o, m)
	}
	if err != nil {
		w.fail("pod %s can't start: %v", pod.Name, err)
		p.die()
		close(p.done)
		return p
	}
	w.addProcess(string(pod.UID), p)
	w.trace.add("%s runs on %s", pod.Name, pod.Spec.NodeName)
	w.wg.Go(p.run)
	return p
}

// podOptions returns what the runtime makes of the container's command and environment.
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

func (p *process) run() {
	defer close(p.done)
	over, end := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { // SIGKILL: nothing in flight arrives
		select {
		case <-p.dying.Done():
			p.worker.Kill(over)
		case <-over.Done():
		}
	})
	err := p.worker.Run(context.Background())
	if !p.lost.Load() {
		p.host.Kill()
	}
	end()
	wg.Wait()
	p.w.trace.add("%s has ended: %v", p.pod, err)
}

func jobID(payload []byte) int {
	id, err := strconv.Atoi(string(payload))
	if err != nil {
		panic(fmt.Sprintf("world: workload %q", payload)) // a bug in the library or the job server
	}
	return id
}

func (p *process) jobDone(j *worker.Job, d worker.Done) {
	id := jobID(j.Payload())
	p.w.ledger.end(id, p.pod, d.Outcome.String(), d.Outcome == worker.Complete, time.Now())
	p.w.trace.fine("job %d on %s: %s", id, p.pod, d.Outcome)
}

// Handle implements runtimejob.Handler: it takes the job's time.
func (p *process) Handle(ctx context.Context, j *runtimejob.Job) runtimejob.Outcome {
	if err := p.Check(ctx); err != nil {
		return runtimejob.NeverRan(runtimejob.StartFailed, "%v", err)
	}
	id := jobID(j.Body)
	of := p.w.ledger.start(id, p.pod, time.Now())
	p.w.trace.fine("job %d starts on %s", id, p.pod)
	j.HasStarted()
	t := time.NewTimer(of.takes)
	defer t.Stop()
	select {
	case <-t.C:
		if p.w.ledger.fails(of, p.pod) {
			return runtimejob.Failf(runtimejob.ExitCode, "exit status 1")
		}
		return runtimejob.Done([]byte("ok"))
	case <-ctx.Done():
	case <-p.dying.Done():
	}
	p.mu.Lock()
	excuse := p.excuse
	p.mu.Unlock()
	p.w.interrupted(of, p, excuse)
	return runtimejob.Outcome{Kind: runtimejob.Requeued, Reason: runtimejob.Interrupting, Message: "the worker ends"}
}

// Check implements runtimejob.Checker: a missing command is also detected without a job.
func (p *process) Check(context.Context) error {
	if p.w.commandBroken(p.pool) {
		return errors.New("exec: /work: no such file or directory")
	}
	return nil
}

// Ready implements kube.Process.
func (p *process) Ready() bool {
	if p.stopping.Load() || p.ended() {
		return false
	}
	return p.worker.Ready()
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Terminate implements kube.Process.
func (p *process) Terminate() {
	p.stopping.Store(true)
	if p.worker != nil {
		p.worker.Terminate()
	}
}

// Kill implements kube.Process.
func (p *process) Kill() {
	p.host.Kill()
	p.die()
}

// crash kills the process as a fault of the world, which excuses the jobs that it interrupts.
func (p *process) crash(excuse string) {
	p.mu.Lock()
	p.excuse = excuse
	p.mu.Unlock()
	p.Kill()
}

// Done implements kube.Process.
func (p *process) Done() <-chan struct{} { return p.done }

// names is the DNS of a world: gearmand-N.jobs has the address of job server N.
type names struct{ w *World }

// LookupNetIP is the worker's lookup.
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

// lose ends the process without notifying anyone: its connections stay open.
func (p *process) lose(excuse string) {
	p.mu.Lock()
	p.excuse = excuse
	p.mu.Unlock()
	p.lost.Store(true)
	p.host.Freeze()
	p.die()
}
