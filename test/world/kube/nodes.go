package kube

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/test/world/dice"
)

// Process is what runs in a pod's container.
type Process interface {
	// Ready is the readiness probe.
	Ready() bool
	// Terminate is SIGTERM, Kill is SIGKILL. They don't block.
	Terminate()
	Kill()
	// Done is closed when the process has ended.
	Done() <-chan struct{}
}

// Start starts a container of a pod.
type Start func(pod *corev1.Pod) Process

// Node is a machine that runs pods.
type Node struct {
	Name     string
	Capacity int           // pods
	Skew     time.Duration // how far its clock is ahead

	// These are its faults, guarded by Nodes.mu.
	badImages bool // it can't pull
	silent    bool // the API server hears nothing from it; its pods may or may not continue
	since     time.Time
	used      int
}

// now is the node's clock.
func (n *Node) now() time.Time { return time.Now().Add(n.Skew) }

// Nodes simulates the scheduler, the kubelets and the node controller.
type Nodes struct {
	server *Server
	start  Start
	trace  func(format string, args ...any)

	mu     sync.Mutex
	dice   *dice.Dice
	nodes  []*Node
	pods   map[types.UID]*podState
	wg     sync.WaitGroup
	placed chan struct{} // some pod may be placed
	ctx    context.Context

	// Pull and Boot are how long the steps of a start take.
	Pull, Boot struct{ Least, Most time.Duration }
}

type podState struct {
	key      types.NamespacedName
	uid      types.UID
	node     *Node
	deleted  chan struct{} // closed when the API server marked it
	once     sync.Once
	process  Process
	evicting bool
}

const (
	// unreachableAfter and evictAfter are the node controller's: a silent node's pods become
	// unready, and are later deleted.
	unreachableAfter = 40 * time.Second
	evictAfter       = 5 * time.Minute
)

// NewNodes returns nodes whose pods run what start starts.
func NewNodes(s *Server, seed uint64, nodes []*Node, start Start, trace func(string, ...any)) *Nodes {
	n := &Nodes{
		server: s, start: start, trace: trace, dice: dice.New(seed), nodes: nodes, pods: map[types.UID]*podState{},
		placed: make(chan struct{}, 1),
	}
	n.Pull.Least, n.Pull.Most = 500*time.Millisecond, 3*time.Second
	n.Boot.Least, n.Boot.Most = 300*time.Millisecond, 3*time.Second
	s.Observe(n.observe)
	return n
}

// observe is called under the server's lock.
func (n *Nodes) observe(e Event) {
	if e.Kind != KindPod {
		return
	}
	if e.Type != Modified || e.New.GetDeletionTimestamp() != nil {
		n.poke()
	}
	if e.Type == Deleted || e.New.GetDeletionTimestamp() != nil {
		n.mu.Lock()
		if st := n.pods[e.New.GetUID()]; st != nil {
			st.once.Do(func() { close(st.deleted) })
		}
		n.mu.Unlock()
	}
}

func (n *Nodes) poke() {
	select {
	case n.placed <- struct{}{}:
	default:
	}
}

// between draws a time for a pod, or for anything else with that name.
func (n *Nodes) between(name string, least, most time.Duration) time.Duration {
	return n.dice.Between(name, least, most)
}

// Run schedules pods and watches nodes until ctx ends and all pods' processes have ended.
func (n *Nodes) Run(ctx context.Context) {
	n.ctx = ctx
	defer n.wg.Wait()
	n.wg.Go(func() { n.controlNodes(ctx) })
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.placed:
		}
		if !sleep(ctx, n.between("scheduler", 3*time.Millisecond, 20*time.Millisecond)) {
			return
		}
		for _, o := range n.server.list(KindPod) {
			p := o.(*corev1.Pod)
			if p.Spec.NodeName == "" && p.DeletionTimestamp == nil && len(p.Spec.SchedulingGates) == 0 {
				n.place(ctx, p)
			}
		}
	}
}

// place binds a pod to a node with room, or reports that there is none.
func (n *Nodes) place(ctx context.Context, p *corev1.Pod) {
	if !sleep(ctx, n.between(p.Name, 200*time.Microsecond, 2*time.Millisecond)) {
		return
	}
	node := n.choose(p)
	if node == nil {
		n.status(keyOf(p), p.UID, func(p *corev1.Pod) {
			setCondition(p, n.server.now(), corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonUnschedulable)
		})
		return
	}
	st := &podState{key: keyOf(p), uid: p.UID, node: node, deleted: make(chan struct{})}
	n.mu.Lock()
	node.used++
	n.pods[p.UID] = st
	n.mu.Unlock()
	_, err := n.server.update(KindPod, keyOf(p), func(o client.Object) (client.Object, error) {
		pod := o.(*corev1.Pod)
		if pod.UID != p.UID {
			return nil, fmt.Errorf("another pod %s", p.Name)
		}
		pod.Spec.NodeName = node.Name
		setCondition(pod, n.server.now(), corev1.PodScheduled, corev1.ConditionTrue, "")
		return pod, nil
	})
	if err != nil { // deleted meanwhile
		n.forget(st)
		return
	}
	n.wg.Go(func() { n.kubelet(n.ctx, st) })
}

func (n *Nodes) choose(p *corev1.Pod) *Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	var best *Node
	for _, node := range n.nodes {
		if name := p.Spec.NodeSelector["kubernetes.io/hostname"]; name != "" && name != node.Name ||
			len(p.Spec.NodeSelector) > 0 && name == "" {
			continue
		}
		if node.silent && time.Since(node.since) > unreachableAfter || node.used >= node.Capacity {
			continue
		}
		if best == nil || node.used < best.used {
			best = node
		}
	}
	return best
}

func (n *Nodes) forget(st *podState) {
	n.mu.Lock()
	if n.pods[st.uid] == st {
		delete(n.pods, st.uid)
		st.node.used--
	}
	n.mu.Unlock()
	n.poke()
}

// status writes a pod's status as its kubelet does.
func (n *Nodes) status(key types.NamespacedName, uid types.UID, change func(*corev1.Pod)) {
	_, _ = n.server.update(KindPod, key, func(o client.Object) (client.Object, error) { // gone already
		if p := o.(*corev1.Pod); p.UID == uid {
			change(p)
		}
		return o, nil
	})
}

// SetBadImages makes a node unable to pull images, or able again.
func (n *Nodes) SetBadImages(name string, bad bool) {
	n.each(name, func(node *Node) { node.badImages = bad })
}

// SetSilent cuts a node off from the API server, or reconnects it.
func (n *Nodes) SetSilent(name string, silent bool) {
	n.each(name, func(node *Node) { node.silent, node.since = silent, time.Now() })
	n.poke()
}

// SetCapacity changes how many pods fit on a node; its existing pods stay.
func (n *Nodes) SetCapacity(name string, pods int) {
	n.each(name, func(node *Node) { node.Capacity = pods })
	n.poke()
}

func (n *Nodes) each(name string, f func(*Node)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, node := range n.nodes {
		if node.Name == name {
			f(node)
		}
	}
}

// On returns the uids of the pods on a node.
func (n *Nodes) On(name string) []types.UID {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []types.UID
	for uid, st := range n.pods {
		if st.node.Name == name {
			out = append(out, uid)
		}
	}
	slices.Sort(out)
	return out
}

// controlNodes marks the pods of silent nodes unready, and deletes them later.
func (n *Nodes) controlNodes(ctx context.Context) {
	for sleep(ctx, n.between("nodes", 4900*time.Millisecond, 5100*time.Millisecond)) {
		if n.server.Weather.Down() {
			continue
		}
		var unready, evict []*podState
		n.mu.Lock()
		for _, st := range n.pods {
			if !st.node.silent {
				continue
			}
			if d := time.Since(st.node.since); d > evictAfter && !st.evicting {
				st.evicting = true
				evict = append(evict, st)
			} else if d > unreachableAfter {
				unready = append(unready, st)
			}
		}
		n.mu.Unlock()
		slices.SortFunc(unready, byUID)
		slices.SortFunc(evict, byUID)
		for _, st := range unready {
			n.status(st.key, st.uid, func(p *corev1.Pod) {
				setCondition(p, n.server.now(), corev1.PodReady, corev1.ConditionFalse, "NodeStatusUnknown")
			})
		}
		for _, st := range evict {
			_ = n.server.delete(KindPod, st.key) // gone already
		}
	}
}

func byUID(a, b *podState) int { return compareUID(a.uid, b.uid) }

func compareUID(a, b types.UID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
