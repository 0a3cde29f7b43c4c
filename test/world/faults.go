package world

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/test/world/kube"
)

// A class of faults is what a fault may delay. The invariants allow time for that and no more.
type class uint8

const (
	ofAPI    class = 1 << iota // the operator can't read or write
	ofServer                   // a job server doesn't answer, or forgets
	ofPods                     // pods don't start, or end
	ofUser                     // a user changed something
	ofLeader                   // the operator starts anew
)

// kind is one kind of fault: what it does, and what ends it.
type kind struct {
	name        FaultKind
	class       class
	least, most time.Duration // how long it lasts
	settle      time.Duration // how long after its end it still delays
	begin       func(w *World, f Fault) (end func())
}

// concerns reports whether a fault may delay a pool. A fault of another pool, or of a job server
// that this pool doesn't use, may not. Pools share the nodes and the API server.
func (p *Plan) concerns(f *Fault, pool int) bool {
	class := kindNamed(f.Kind).class
	switch {
	case f.Kind == "dns-down":
		return p.Pools[pool].Named
	case f.Kind == caRotates:
		return true
	case f.Kind == commandBroken:
		return f.Pool == pool
	case class&ofServer != 0:
		return slices.Contains(p.Pools[pool].Servers, f.Server)
	case class&ofUser != 0:
		return f.Pool == pool
	}
	return true
}

// early reports whether the fault begins before the first pods start, so that no pod works while
// all are blocked.
func (k *kind) early() bool {
	return k.name == "registry-down" || k.name == "no-room" || k.name == commandBroken
}

func kindNamed(name FaultKind) *kind {
	for _, table := range [][]kind{kinds, apart, ofTLS} {
		if i := slices.IndexFunc(table, func(k kind) bool { return k.name == name }); i >= 0 {
			return &table[i]
		}
	}
	panic("no fault " + name) // a mistake in this program
}

// commandBroken is the fault of a pool whose image lacks the command: its workers start and
// register, and no job can run.
const commandBroken = "command-broken"

// kinds is the table of faults, through which seeds step in strides.
var kinds []kind

//nolint:funlen // a table
func init() { // its functions find their own entries in it
	const s = time.Second
	kinds = []kind{
		{"api-slow", ofAPI, 20 * s, 90 * s, 10 * s, func(w *World, f Fault) func() {
			w.kube.Weather.SetSlow(time.Duration(100+30*f.N) * time.Millisecond)
			return func() { w.kube.Weather.SetSlow(0) }
		}},
		{"api-down", ofAPI, 10 * s, 60 * s, 40 * s, func(w *World, _ Fault) func() {
			w.kube.Weather.SetDown(true)
			return func() { w.kube.Weather.SetDown(false) }
		}},
		{"api-errors", ofAPI, 20 * s, 90 * s, 40 * s, func(w *World, f Fault) func() {
			w.kube.Weather.SetFailing(0.1 + float64(f.N)/200)
			return func() { w.kube.Weather.SetFailing(0) }
		}},
		{"api-lost-answers", ofAPI, 20 * s, 90 * s, 40 * s, func(w *World, f Fault) func() {
			w.kube.Weather.SetLosing(0.1 + float64(f.N)/200)
			return func() { w.kube.Weather.SetLosing(0) }
		}},
		{"lag-pods", ofAPI, 20 * s, 90 * s, 10 * s, lag(kube.KindPod)},
		{"lag-deployments", ofAPI, 20 * s, 90 * s, 10 * s, lag(kube.KindDeployment)},
		{"lag-pools", ofAPI, 20 * s, 90 * s, 10 * s, lag(kube.KindPool)},
		{
			"server-hangs", ofServer, 10 * s, 60 * s, 150 * s,
			serverFault(func(int) gearmantest.Fault { return gearmantest.Fault{Hang: true} }),
		},
		{"server-slow", ofServer, 20 * s, 90 * s, 60 * s, serverFault(func(n int) gearmantest.Fault {
			return gearmantest.Fault{Delay: time.Duration(50+10*n) * time.Millisecond}
		})},
		{
			"server-garbage", ofServer, 2 * s, 20 * s, 150 * s,
			serverFault(
				func(int) gearmantest.Fault { return gearmantest.Fault{Garbage: []byte("HTTP/1.1 400\r\n\r\n")} },
			),
		},
		{"server-cut", ofServer, s, s, 150 * s, func(w *World, f Fault) func() {
			w.servers[f.Server].CloseConnections()
			return func() {}
		}},
		{"server-restarts", ofServer, s, s, 150 * s, func(w *World, f Fault) func() {
			w.servers[f.Server].RestartWithQueue()
			return func() {}
		}},
		{"server-refuses", ofServer, 10 * s, 120 * s, 150 * s, func(w *World, f Fault) func() {
			w.servers[f.Server].Refuse()
			w.servers[f.Server].CloseConnections()
			return func() {
				if err := w.servers[f.Server].Accept(); err != nil {
					w.trace.add("server %d: %v", f.Server, err)
				}
			}
		}},
		{"server-unreachable", ofServer, 20 * s, 150 * s, 150 * s, func(w *World, f Fault) func() {
			w.net.SetLost(serverAddr(f.Server), true)
			return func() { w.net.SetLost(serverAddr(f.Server), false) }
		}},
		{"dns-down", ofServer, 10 * s, 90 * s, 60 * s, func(w *World, _ Fault) func() {
			w.dnsDown.Store(true)
			return func() { w.dnsDown.Store(false) }
		}},
		{"node-bad-images", ofPods, 60 * s, 180 * s, 320 * s, func(w *World, f Fault) func() {
			w.nodes.SetBadImages(nodeName(f.Node), true)
			return func() { w.nodes.SetBadImages(nodeName(f.Node), false) }
		}},
		{
			"registry-down", ofPods, 120 * s, 240 * s, 320 * s,
			func(w *World, _ Fault) func() { return w.allNodes((*kube.Nodes).SetBadImages) },
		},
		{"no-room", ofPods, 120 * s, 240 * s, 60 * s, func(w *World, _ Fault) func() {
			return w.allNodes(func(n *kube.Nodes, name string, full bool) {
				room := w.plan.PerNode
				if full {
					room = 0
				}
				n.SetCapacity(name, room)
			})
		}},
		{"node-silent", ofPods, 20 * s, 120 * s, 30 * s, func(w *World, f Fault) func() {
			w.nodes.SetSilent(nodeName(f.Node), true)
			return func() { w.nodes.SetSilent(nodeName(f.Node), false) }
		}},
		{"node-dies", ofPods, 150 * s, 180 * s, 60 * s, nodeDies},
		{"nodes-full", ofPods, 60 * s, 180 * s, 60 * s, func(w *World, f Fault) func() {
			for i := range w.plan.Nodes {
				w.nodes.SetCapacity(nodeName(i), 1+f.N%3)
			}
			return func() {
				for i := range w.plan.Nodes {
					w.nodes.SetCapacity(nodeName(i), w.plan.PerNode)
				}
			}
		}},
		{"quota", ofPods, 60 * s, 180 * s, 320 * s, func(w *World, f Fault) func() {
			w.workloads.SetQuota(1 + f.N%6)
			return func() { w.workloads.SetQuota(0) }
		}},
		{commandBroken, ofPods, 120 * s, 240 * s, 320 * s, func(w *World, f Fault) func() {
			w.broken[f.Pool].Add(1)
			return func() { w.broken[f.Pool].Add(-1) }
		}},
		{"pod-killed", ofPods, s, s, 30 * s, func(w *World, f Fault) func() {
			if p := w.anyProcess(f.N); p != nil {
				w.trace.add("%s runs out of memory", p.pod)
				p.crash("killed")
			}
			return func() {}
		}},
		{"pod-deleted", ofUser | ofPods, s, s, 30 * s, func(w *World, f Fault) func() {
			if pods := w.podsOf(f.Pool); len(pods) > 0 {
				w.kube.UserDelete(kube.KindPod, client.ObjectKeyFromObject(pods[f.N%len(pods)]))
			}
			return func() {}
		}},
		{
			"edit-max", ofUser, 120 * s, 240 * s, 30 * s,
			editPool(
				func(s *v1alpha1.GearmanWorkerPoolSpec, n int) { s.MaxReplicas = max(s.MinReplicas, 1+int32(n%6)) },
			),
		},
		{
			"edit-min", ofUser, 120 * s, 240 * s, 30 * s,
			editPool(
				func(s *v1alpha1.GearmanWorkerPoolSpec, n int) { s.MinReplicas = min(s.MaxReplicas, 1+int32(n%8)) },
			),
		},
		{"edit-manual", ofUser, 120 * s, 240 * s, 30 * s, editPool(func(s *v1alpha1.GearmanWorkerPoolSpec, n int) {
			s.Scaling.Mode, s.Scaling.ManualReplicas = v1alpha1.ModeManual, new(int32(n%6))
		})},
		{
			"edit-paused", ofUser, 30 * s, 120 * s, 30 * s,
			editPool(func(s *v1alpha1.GearmanWorkerPoolSpec, _ int) { s.Scaling.Mode = v1alpha1.ModePaused }),
		},
		{"edit-template", ofUser | ofPods, 60 * s, 120 * s, 60 * s, editPool(func(
			s *v1alpha1.GearmanWorkerPoolSpec, n int,
		) {
			if s.TargetRef == nil {
				s.Image = fmt.Sprintf("worker:%d", n+2)
			}
		})},
		{"kubectl-scale", ofUser, s, 40 * s, 60 * s, func(w *World, f Fault) func() {
			w.scaleByHand(f.Pool, int32(f.N%12))
			return func() {
				if f.N%2 == 0 { // the user insists
					w.scaleByHand(f.Pool, int32(f.N/2%12))
				}
			}
		}},
		{"kubectl-edit", ofUser | ofPods, s, s, 60 * s, func(w *World, f Fault) func() {
			w.kube.UserEdit(kube.KindDeployment, w.key(f.Pool), "kubectl-edit", func(o client.Object) {
				o.(*appsv1.Deployment).Spec.Template.Spec.Containers[0].Image = "edited"
			})
			return func() {}
		}},
		{"label-removed", ofUser | ofPods, s, s, 30 * s, func(w *World, f Fault) func() {
			if pods := w.podsOf(f.Pool); len(pods) > 0 {
				w.kube.UserEdit(kube.KindPod, client.ObjectKeyFromObject(
					pods[f.N%len(pods)],
				), "kubectl", func(o client.Object) {
					o.SetOwnerReferences(nil) // its ReplicaSet releases it, and creates another
				})
			}
			return func() {}
		}},
		{"pool-deleted", ofUser | ofPods | ofLeader, 5 * s, 60 * s, 150 * s, func(w *World, f Fault) func() {
			w.kube.UserDelete(kube.KindPool, w.key(f.Pool))
			return func() {
				again := w.poolOf(f.Pool)
				again.Spec = w.specOf(f.Pool)
				if err := w.kube.UserCreate(again); err != nil && !apierrors.IsAlreadyExists(err) { // two may overlap
					w.fail("create the pool again: %v", err)
				}
			}
		}},
		{"operator-restarts", ofLeader, s, 30 * s, 150 * s, func(w *World, _ Fault) func() {
			w.product.end()
			return func() { w.lead() }
		}},
		{"leader-changes", ofLeader, 2 * s, 40 * s, 150 * s, func(w *World, _ Fault) func() {
			next := w.newProduct() // it waits for the lease with its cache filled
			return func() {
				if next == nil {
					return // it has failed the run
				}
				old := w.product
				w.product = next
				old.kill()
				w.wg.Go(old.wg.Wait) // its earlier requests may still arrive
				next.lead()
			}
		}},
	}
}

func lag(kind string) func(*World, Fault) func() {
	return func(w *World, f Fault) func() {
		w.kube.Weather.SetLag(kind, time.Duration(500+70*f.N)*time.Millisecond)
		return func() { w.kube.Weather.SetLag(kind, 0) }
	}
}

func serverFault(of func(n int) gearmantest.Fault) func(*World, Fault) func() {
	return func(w *World, f Fault) func() {
		w.servers[f.Server].SetFault(of(f.N))
		return func() { w.servers[f.Server].SetFault(gearmantest.Fault{}) }
	}
}

// edit is a change of a pool's spec that a user makes and reverts later.
type edit struct {
	change func(*v1alpha1.GearmanWorkerPoolSpec, int)
	n      int
}

// editPool changes a pool's spec and reverts the change. Edits may overlap.
func editPool(change func(*v1alpha1.GearmanWorkerPoolSpec, int)) func(*World, Fault) func() {
	return func(w *World, f Fault) func() {
		e := &edit{change, f.N}
		w.edits[f.Pool] = append(w.edits[f.Pool], e)
		write := func() {
			w.kube.UserEdit(
				kube.KindPool, w.key(f.Pool), "user",
				func(o client.Object) { o.(*v1alpha1.GearmanWorkerPool).Spec = w.specOf(f.Pool) },
			)
		}
		write()
		return func() {
			w.edits[f.Pool] = slices.DeleteFunc(w.edits[f.Pool], func(other *edit) bool { return other == e })
			write()
		}
	}
}

// specOf returns the spec that a pool's users want now.
func (w *World) specOf(pool int) v1alpha1.GearmanWorkerPoolSpec {
	spec := w.poolOf(pool).Spec
	for _, e := range w.edits[pool] {
		e.change(&spec, e.n)
	}
	return spec
}

// nodeDies cuts a node's power. Its connections stay open until keep-alive finds them dead. Later
// the node is removed, and its pods with it.
func nodeDies(w *World, f Fault) func() {
	name := nodeName(f.Node)
	w.nodes.SetSilent(name, true)
	var dead []*process
	for _, uid := range w.nodes.On(name) {
		if p := w.processOf(string(uid)); p != nil {
			dead = append(dead, p)
			p.lose("node died")
		}
	}
	return func() {
		for _, p := range dead {
			p.host.Kill()
		}
		for _, uid := range w.nodes.On(name) {
			w.removePod(uid)
		}
		w.nodes.SetSilent(name, false)
	}
}

// allNodes applies a fault to all nodes, and returns a function that ends it.
func (w *World) allNodes(set func(n *kube.Nodes, name string, on bool)) func() {
	to := func(on bool) {
		for i := range w.plan.Nodes {
			set(w.nodes, nodeName(i), on)
		}
	}
	to(true)
	return func() { to(false) }
}

func (w *World) removePod(uid types.UID) {
	for _, o := range w.kube.Objects(kube.KindPod) {
		if o.GetUID() == uid {
			w.kube.Remove(kube.KindPod, client.ObjectKeyFromObject(o))
		}
	}
}

func nodeName(i int) string { return fmt.Sprintf("node-%d", i) }

func (w *World) podsOf(pool int) []*corev1.Pod {
	var out []*corev1.Pod
	for _, o := range w.kube.Objects(kube.KindPod) {
		if p := o.(*corev1.Pod); p.DeletionTimestamp == nil &&
			p.Labels[kube.DeploymentLabel] == w.plan.Pools[pool].Name {
			out = append(out, p)
		}
	}
	return out
}
