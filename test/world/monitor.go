package world

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/policy"
	"github.com/gearman-operator/gearman-operator/test/world/kube"
)

// pulse counts seconds of virtual time, for a watcher outside that checks whether time stands
// still.
var pulse atomic.Int64

// monitor samples each pool once a second, from the API server and the ledger, independently of
// what the operator believes.
type monitor struct {
	w *World

	mu       sync.Mutex
	faults   []Fault
	finished bool
	samples  map[int][]snapshot    // by pool
	removed  map[int]int           // pods that were deleted, by pool
	marks    map[int][]markWrite   // changes of deletion costs that the API server took, by pool
	statuses map[int][]statusWrite // changes of statuses, by pool
	foreign  map[int][]time.Time   // when somebody else changed replicas, by pool
	// overwritten is when a change by somebody else may have been overwritten by a write of the
	// operator that had been sent before, by pool.
	overwritten map[int][]time.Time
	placed      map[int]int         // pods that had waited for a node or an image and got it, by pool
	raised      map[int][]time.Time // when replicas were raised, by pool
	busy        int                 // of them, those that were removed while other jobs ran
	most        int                 // pods at once
}

// snapshot is a pool at one moment.
type snapshot struct {
	at       time.Time
	exists   bool
	mode     v1alpha1.ScalingMode
	auto     bool // the law decides, and the replicas are not contested
	min, max int32
	replicas int32
	rollout  bool
	live     int // pods that are not terminating
	ready    int
	blocked  int  // pods that can't start for a reason that Kubernetes gives
	open     int  // the most open jobs at once since the last snapshot
	runs     int  // running jobs
	unfit    int  // pods whose worker takes no jobs because none can run
	working  int  // ready pods whose command exists
	starting int  // pods that are neither ready nor blocked
	placed   int  // pods that had waited for a node or an image and got it, up to now
	foreign  int  // how often somebody else changed replicas within the last contestWindow
	answers  bool // the operator reports that all job servers answer, or that it doesn't know

	saysContested bool // the operator reports that somebody else keeps changing replicas
	saysUnfit     bool // the operator reports that workers can't run jobs
}

const (
	// contestWindow is the time in which the second change of replicas by somebody else stops the
	// operator from setting them (docs/howto/replicas.md). contestSlack is how soon afterwards it
	// must set them again: a poll and its first decision.
	contestWindow = 10 * time.Minute
	contestSlack  = 20 * time.Second
	// inFlight is the longest time that a write takes to the API server.
	inFlight = 10 * time.Millisecond
)

func newMonitor(w *World) *monitor {
	return &monitor{
		w: w, samples: map[int][]snapshot{}, removed: map[int]int{}, marks: map[int][]markWrite{},
		statuses: map[int][]statusWrite{}, foreign: map[int][]time.Time{}, placed: map[int]int{},
		raised: map[int][]time.Time{}, overwritten: map[int][]time.Time{},
	}
}

func (m *monitor) fault(f Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, f)
}

// finish ends the snapshots: later events are not judged by them.
func (m *monitor) finish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.finished = true
}

// run takes the snapshots.
func (m *monitor) run(ctx context.Context) {
	for i := 1; ; i++ {
		t := time.NewTimer(time.Duration(i)*time.Second + 333*time.Microsecond - time.Since(m.w.trace.began))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		pulse.Add(1)
		for pool := range m.w.plan.Pools {
			s := m.w.snapshot(pool)
			m.mu.Lock()
			if !m.finished {
				m.samples[pool] = append(m.samples[pool], s)
				m.most = max(m.most, s.live)
			}
			m.mu.Unlock()
		}
	}
}

func (w *World) snapshot(pool int) snapshot {
	s := snapshot{at: time.Now()}
	s.open = w.ledger.takePeak(pool)
	s.runs = w.ledger.running(pool)
	p, _ := w.kube.Object(kube.KindPool, w.key(pool)).(*v1alpha1.GearmanWorkerPool)
	d := w.targetOf(pool)
	if p == nil || d == nil {
		return s
	}
	s.placed, s.foreign = w.monitor.placedOf(pool), w.monitor.foreignChanges(pool, s.at)
	if c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionScalingActive); c != nil {
		s.saysContested = c.Status == metav1.ConditionFalse && c.Reason == "Contested"
	}
	s.saysUnfit = meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionWorkersUnfit)
	s.answers = !meta.IsStatusConditionFalse(p.Status.Conditions, v1alpha1.ConditionJobServersReachable)
	s.exists, s.min, s.max, s.replicas = true, p.Spec.MinReplicas, p.Spec.MaxReplicas, d.replicas
	if schedule := w.plan.Pools[pool].Schedule; schedule != nil {
		s.min, s.max = schedule.bounds(s.min, s.max, s.at.Sub(w.trace.began))
	}
	s.mode = policy.Mode(&p.Spec)
	s.auto = s.mode == v1alpha1.ModeAuto
	if s.mode == v1alpha1.ModeManual {
		n := min(max(*p.Spec.Scaling.ManualReplicas, s.min), s.max) // the bounds win
		s.min, s.max = n, n
	}
	contested := s.foreign >= 2 // the operator leaves the replicas to others who insist on them
	s.auto = s.auto && !contested
	if s.mode == v1alpha1.ModePaused || s.mode == v1alpha1.ModeDryRun || contested {
		s.min, s.max = 0, 1<<30
	}
	s.rollout = d.rollout
	for _, pod := range w.podsOf(pool) {
		if len(pod.OwnerReferences) == 0 {
			continue
		}
		s.live++
		if ready(pod) {
			s.ready++
		}
		unfit := w.unfit(pod)
		if unfit {
			s.unfit++
		}
		if blocked(pod) || unfit {
			s.blocked++
		}
	}
	if s.working = s.ready; w.commandBroken(pool) {
		s.working = 0
	}
	s.starting = max(0, s.live-s.ready-s.blocked)
	return s
}

// unfit reports whether a pod's worker takes no jobs because none can run there.
func (w *World) unfit(pod *corev1.Pod) bool {
	p := w.processOf(string(pod.UID))
	return p != nil && p.worker != nil && !p.ended() && p.worker.Unfit()
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func blocked(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return true
		}
	}
	for _, c := range p.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil && w.Reason != "ContainerCreating" {
			return true
		}
	}
	return false
}

// observe traces the events of the API server. It is called under the server's lock.
func (w *World) observe(e kube.Event) {
	switch n := e.New.(type) {
	case *appsv1.Deployment:
		if old, ok := e.Old.(*appsv1.Deployment); !ok || e.Type == kube.Deleted {
			w.trace.add("deployment %s %s", n.Name, e.Type)
		} else {
			w.observeReplicas(n.Name, *old.Spec.Replicas, *n.Spec.Replicas)
		}
	case *appsv1.StatefulSet:
		if old, ok := e.Old.(*appsv1.StatefulSet); ok && e.Type == kube.Modified {
			w.observeReplicas(n.Name, *old.Spec.Replicas, *n.Spec.Replicas)
		}
	case *corev1.Pod:
		w.observePod(e, n)
	case *v1alpha1.GearmanWorkerPool:
		old, ok := e.Old.(*v1alpha1.GearmanWorkerPool)
		switch {
		case !ok || e.Type == kube.Deleted:
			w.trace.add("pool %s %s", n.Name, e.Type)
		case old.Generation != n.Generation:
			w.trace.add("pool %s edited: min %d max %d", n.Name, n.Spec.MinReplicas, n.Spec.MaxReplicas)
		default:
			w.trace.add("status of %s: %s", n.Name, statusLine(n))
			if pool := w.poolNamed(n.Name); w.monitor != nil && pool >= 0 {
				w.monitor.statusWritten(pool, &old.Status, &n.Status)
			}
		}
	}
}

func statusLine(p *v1alpha1.GearmanWorkerPool) string {
	var line strings.Builder
	fmt.Fprintf(&line, "%d pods, %d wanted, %d queued, %d run, %s", p.Status.Replicas, p.Status.DesiredReplicas,
		p.Status.Queue.Queued, p.Status.Queue.Running, p.Status.Decision.Reason)
	for _, c := range p.Status.Conditions {
		switch {
		case c.Type == v1alpha1.ConditionScaleDownBlocked && c.Status == metav1.ConditionTrue:
			line.WriteString(", ScaleDownBlocked " + c.Reason)
		case c.Type == v1alpha1.ConditionWorkersUnfit && c.Status == metav1.ConditionTrue:
			line.WriteString(", WorkersUnfit " + c.Message)
		case c.Type == v1alpha1.ConditionReady:
			line.WriteString(", Ready " + string(c.Status) + " " + c.Reason)
		}
	}
	return line.String()
}

const costAnnotation = "controller.kubernetes.io/pod-deletion-cost"

func (w *World) observePod(e kube.Event, p *corev1.Pod) {
	old, _ := e.Old.(*corev1.Pod)
	switch {
	case e.Type != kube.Modified:
		w.trace.add("pod %s %s", p.Name, e.Type)
	case old.DeletionTimestamp == nil && p.DeletionTimestamp != nil:
		w.trace.add("pod %s is terminating", p.Name)
		if pool := w.poolNamed(p.Labels[kube.DeploymentLabel]); w.monitor != nil && pool >= 0 {
			runs := w.ledger.running(pool)
			w.monitor.podRemoved(pool, runs > 0)
		}
	case ready(old) != ready(p):
		w.trace.add("pod %s ready: %t", p.Name, ready(p))
	case blocked(old) != blocked(p):
		w.trace.add("pod %s blocked: %t", p.Name, blocked(p))
		placed := old.Spec.NodeName == "" && p.Spec.NodeName != ""
		if pool := w.poolNamed(p.Labels[kube.DeploymentLabel]); (placed || pulled(old, p)) && pool >= 0 {
			w.monitor.podPlaced(pool)
		}
	case old.Annotations[costAnnotation] != p.Annotations[costAnnotation]:
		if pool := w.poolNamed(p.Labels[kube.DeploymentLabel]); w.monitor != nil && pool >= 0 {
			w.monitor.marked(pool, p.Name, p.Annotations[costAnnotation] != "")
		}
		w.trace.add("pod %s costs %q", p.Name, p.Annotations[costAnnotation])
	}
}

// pulled reports whether a pod has got the image that it waited for.
func pulled(old, p *corev1.Pod) bool {
	return !blocked(p) && slices.ContainsFunc(old.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.State.Waiting != nil && strings.Contains(c.State.Waiting.Reason, "ImagePull")
	})
}

// replicasChanged records that a pool's replicas were changed, and whether they were raised.
func (m *monitor) replicasChanged(pool int, raised bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if raised {
		m.raised[pool] = append(m.raised[pool], time.Now())
	}
	if n := len(m.foreign[pool]); n > 0 && time.Since(m.foreign[pool][n-1]) < inFlight {
		m.overwritten[pool] = append(m.overwritten[pool], time.Now())
	}
}

// podPlaced records that a pod that had waited for a node or an image got it.
func (m *monitor) podPlaced(pool int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.placed[pool]++
}

func (m *monitor) placedOf(pool int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.placed[pool]
}

// scaled records that somebody else changed a pool's replicas.
func (m *monitor) scaled(pool int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.foreign[pool] = append(m.foreign[pool], time.Now())
}

// foreignChanges counts the changes of a pool's replicas by somebody else that still count at a
// time.
func (m *monitor) foreignChanges(pool int, at time.Time) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.foreign[pool] {
		if at.Sub(t) <= contestWindow+contestSlack {
			n++
		}
	}
	return n
}

func (m *monitor) podRemoved(pool int, busy bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removed[pool]++
	if busy {
		m.busy++
	}
}

// delays returns for how long in total faults of the classes may have delayed a pool between two
// times. Faults of another pool, or of job servers that the pool doesn't use, delay nothing.
func (m *monitor) delays(pool int, classes class, from, to time.Time) time.Duration {
	return m.sum(classes, from, to, func(f *Fault) bool { return m.w.plan.concerns(f, pool) })
}

// stretched reports whether a job server's fault may still delay a pool's scale-down at a time.
// After the fault the job server may have restarted, so the operator waits for as long as jobs
// take. Jobs that could not report their end took as long as the fault.
func (m *monitor) stretched(pool int, longest time.Duration, at time.Time) bool {
	for i := range m.faults {
		f := &m.faults[i]
		k := kindNamed(f.Kind)
		end := m.w.trace.began.Add(f.At + f.For + k.settle)
		if k.class&ofServer != 0 && m.w.plan.concerns(f, pool) && end.Before(at) && end.Add(f.For+2*longest).After(at) {
			return true
		}
	}
	return false
}

// sum returns how long the faults of the classes that count and overlap a period last and settle.
func (m *monitor) sum(classes class, from, to time.Time, counts func(*Fault) bool) (sum time.Duration) {
	for i := range m.faults {
		f := &m.faults[i]
		k := kindNamed(f.Kind)
		begin := m.w.trace.began.Add(f.At)
		end := begin.Add(f.For + k.settle)
		if k.class&classes == 0 || !begin.Before(to) || !end.After(from) || !counts(f) {
			continue
		}
		sum += f.For + k.settle
	}
	return sum
}
