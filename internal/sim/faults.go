package sim

import (
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// What happens to the pods on a node that dies, in seconds after its death.
const (
	nodeUnready = 40  // its pods are no longer ready
	nodeCut     = 120 // the job servers close the connections: jobs that ran there are requeued
	nodeEvicted = 300 // its pods are evicted
)

// DeadNode is a node that dies with a share of the working pods.
type DeadNode struct {
	At, Share float64
}

// place assigns a new pod to a node, if there is one. The node may be one that can't pull the
// image. place reports whether the pod will start.
func (s *Simulator) place(i int32) bool {
	p := &s.pods[i]
	if s.w.Nodes > 0 && s.placed >= s.w.Nodes {
		p.trouble = scaling.TroubleUnschedulable
		return false
	}
	s.placed++
	p.placed = true
	if s.w.BadNodes > 0 && s.rng.Float64() < s.w.BadNodes {
		s.events.push(s.now+5, podFails, i)
		return false
	}
	return true
}

// free gives the place of a removed pod to the first pod that waits for one.
func (s *Simulator) free(p *pod) {
	if !p.placed {
		return
	}
	p.placed = false
	s.placed--
	for _, k := range s.alive {
		if q := &s.pods[k]; q.trouble == scaling.TroubleUnschedulable {
			q.trouble = scaling.TroubleNone
			if s.place(k) {
				s.boot(k)
			}
			return
		}
	}
}

// die kills a node: its pods stop silently, with their running jobs.
func (s *Simulator) die(node int32) {
	for _, i := range s.alive {
		p := &s.pods[i]
		if p.state != working || s.rng.Float64() >= s.w.DeadNodes[node].Share {
			continue
		}
		p.dead = true
		for k := range s.w.Concurrency {
			slot := p.slot + int32(k)
			if s.idlePos[slot] >= 0 {
				s.unidle(slot)
			}
			s.slotEnd[slot] = -1
		}
		s.events.push(s.now+nodeUnready, podLost, i)
		s.events.push(s.now+nodeCut, podCut, i)
		s.events.push(s.now+nodeEvicted, podEvicted, i)
	}
}

// lose, cut and evict are the steps that follow for a dead node's pod.
func (s *Simulator) lose(i int32) {
	if p := &s.pods[i]; p.state == working {
		s.countReady(-1)
		p.state, p.changed = starting, s.now
	}
}

func (s *Simulator) cut(i int32) {
	p := &s.pods[i]
	if p.state == gone {
		return
	}
	p.seen = false
	s.abandon(i)
}

func (s *Simulator) evict(i int32) {
	for k, a := range s.alive {
		if a == i {
			s.alive = append(s.alive[:k], s.alive[k+1:]...)
			s.end(i)
			s.reconcile()
			return
		}
	}
}
