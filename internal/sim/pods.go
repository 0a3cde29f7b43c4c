package sim

import (
	"math"
	"strconv"

	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// setReplicas sets the number of replicas; the pods follow after the API's latency.
func (s *Simulator) setReplicas(n int32) {
	if n == s.spec {
		return
	}
	sign := int32(1)
	if n < s.spec {
		sign = -1
		if s.parted {
			s.result.PartialDowns++
		}
	}
	s.result.Actions++
	if s.moved == -sign {
		s.result.Reversals++
	}
	s.moved, s.spec = sign, n
	s.events.push(s.now+s.c.APILatency, applied, 0)
}

// reconcile creates or removes pods to match the order, as a Deployment's ReplicaSet does.
func (s *Simulator) reconcile() {
	for int32(len(s.alive)) < s.spec {
		s.create()
	}
	for int32(len(s.alive)) > s.spec {
		best := 0
		for k := range s.alive {
			if s.goesBefore(s.alive[k], s.alive[best]) {
				best = k
			}
		}
		p := s.alive[best]
		s.alive = append(s.alive[:best], s.alive[best+1:]...)
		s.result.Removed++
		s.stop(p)
	}
}

// goesBefore is Kubernetes' order of deletion: pods without a node first, then pending ones, then
// those that aren't ready, then those with the lower deletion cost. Among pods that have been ready
// for about the same time, the order is arbitrary.
func (s *Simulator) goesBefore(i, k int32) bool {
	a, b := &s.pods[i], &s.pods[k]
	if x, y := a.class(), b.class(); x != y {
		return x < y
	}
	if x, y := s.seenCost(a), s.seenCost(b); x != y {
		return x < y
	}
	if x, y := math.Ilogb(1+s.now-a.changed), math.Ilogb(1+s.now-b.changed); x != y {
		return x < y
	}
	return a.tie < b.tie
}

// seenCost is a pod's deletion cost as the ReplicaSet controller sees it: up to a second late.
func (s *Simulator) seenCost(p *pod) int32 {
	if s.now-p.costAt < float64(p.tie%1000)/1000*watchLag {
		return p.costBefore
	}
	return p.cost
}

func (p *pod) class() int {
	switch {
	case p.trouble == scaling.TroubleUnschedulable:
		return 0
	case p.registered < 0:
		return 1
	case p.state == starting:
		return 2
	}
	return 3
}

// patch sets a pod's deletion cost. The operator's cache shows it a second later, and the operator
// then decides again.
func (s *Simulator) patch(i, cost int32) {
	p := &s.pods[i]
	s.result.Patches++
	p.costBefore, p.cost, p.costAt = p.cost, cost, s.now+s.c.APILatency/2
	s.events.push(p.costAt+watchLag, podShown, i)
}

func (s *Simulator) create() {
	p := int32(len(s.pods))
	first := int32(len(s.slotPod))
	s.pods = append(
		s.pods, pod{created: s.now, registered: -1, changed: s.now, costAt: -1e9, slot: first, tie: s.rng.Uint32()},
	)
	s.result.Created++
	for range s.w.Concurrency {
		s.addSlot(p)
	}
	s.alive = append(s.alive, p)
	if s.place(p) {
		s.boot(p)
	}
}

// boot makes a pod take jobs after its start time.
func (s *Simulator) boot(p int32) {
	spread := s.w.BootSpread
	if spread == 0 {
		spread = 0.2
	}
	boot := s.c.Boot * (1 - spread + 2*spread*s.rng.Float64())
	if s.rng.IntN(50) == 0 {
		boot *= 2
	}
	s.events.push(s.now+boot, podRegistered, p)
}

func (s *Simulator) addSlot(p int32) int32 {
	s.slotPod, s.slotJob = append(s.slotPod, p), append(s.slotJob, -1)
	s.slotStart, s.slotEnd, s.idlePos = append(s.slotStart, 0), append(s.slotEnd, 0), append(s.idlePos, -1)
	return int32(len(s.slotPod) - 1)
}

func (s *Simulator) register(i int32) {
	p := &s.pods[i]
	if p.state != starting {
		return
	}
	p.state, p.changed = working, s.now
	if p.registered < 0 {
		p.registered = s.now
	}
	s.countReady(1)
	if s.w.CrashEvery > 0 {
		s.events.push(s.now+s.rng.ExpFloat64()*s.w.CrashEvery, podCrashed, i)
	}
	for k := range s.w.Concurrency {
		s.freed(p.slot + int32(k))
	}
}

func (s *Simulator) countReady(by int) {
	s.ready += by
	if s.now >= s.w.Mark {
		for len(s.peaks) < s.ready {
			s.peaks = append(s.peaks, s.now)
		}
	}
}

// stop tells a pod to stop: it takes no new job, and is removed as soon as it has none.
func (s *Simulator) stop(i int32) {
	p := &s.pods[i]
	if p.state == working {
		s.countReady(-1)
		for k := range s.w.Concurrency {
			slot := p.slot + int32(k)
			if s.idlePos[slot] >= 0 {
				s.unidle(slot)
			}
			if j := s.slotJob[slot]; j >= 0 {
				c := &s.own[s.w.Jobs[j].Function]
				c.busy--
				c.draining++
			}
		}
	}
	p.state, p.stopped = draining, s.now
	if p.dead {
		s.abandon(i)
	}
	s.dying = append(s.dying, i)
	if p.busy == 0 {
		s.end(i)
		return
	}
	s.result.Drained++
	s.events.push(s.now+s.c.Drain, drainOver, i)
}

// end accounts for a removed pod.
func (s *Simulator) end(i int32) {
	s.account(&s.pods[i])
	s.pods[i].state = gone
	s.free(&s.pods[i])
}

func (s *Simulator) account(p *pod) { s.result.WorkerHours += s.now - p.created }

// kill ends a pod whose time to drain is over; its jobs are requeued.
func (s *Simulator) kill(i int32) {
	if s.pods[i].state != draining {
		return
	}
	s.result.Interrupted += int(s.pods[i].busy)
	s.abandon(i)
	s.end(i)
}

// abandon requeues a pod's running jobs.
func (s *Simulator) abandon(i int32) {
	p := &s.pods[i]
	for k := range s.w.Concurrency {
		slot := p.slot + int32(k)
		if s.idlePos[slot] >= 0 {
			s.unidle(slot)
		}
		if j := s.slotJob[slot]; j >= 0 {
			s.finish(slot, false)
			s.runnable(j)
		}
	}
}

// crash restarts a working pod's container: its jobs are requeued, and it works again after half a
// boot time.
func (s *Simulator) crash(i int32) {
	p := &s.pods[i]
	if p.state != working || p.dead {
		return
	}
	s.countReady(-1)
	p.state, p.changed = starting, s.now
	s.abandon(i)
	s.events.push(s.now+s.c.Boot/2, podRegistered, i)
}

// setForeign sets the number of slots of others' workers.
func (s *Simulator) setForeign(n int) {
	for len(s.foreign) < n {
		slot := s.addSlot(-1)
		s.foreign = append(s.foreign, slot)
		s.freed(slot)
	}
	for len(s.foreign) > n {
		slot := s.foreign[len(s.foreign)-1]
		s.foreign = s.foreign[:len(s.foreign)-1]
		if s.idlePos[slot] >= 0 {
			s.unidle(slot)
		}
		s.slotPod[slot] = -2
	}
}

// tell takes the snapshot that telemetry reports at this moment.
func (s *Simulator) tell() {
	for f := range s.w.Functions {
		s.rep[f] = s.own[f]
		s.rep[f].doneSeconds = s.own[f].busySeconds(s.now)
	}
	for _, i := range s.alive {
		p := &s.pods[i]
		if p.dead {
			continue // its client id stays until the job server notices that it is gone
		}
		if p.state != working {
			p.seen = false
			continue
		}
		if !p.seen || p.told != p.busy {
			p.seen, p.told, p.since = true, p.busy, s.now
		}
	}
}

var names []string

func init() {
	for i := range 20000 {
		names = append(names, strconv.Itoa(i))
	}
}

func podName(i int32) string {
	if int(i) < len(names) {
		return names[i]
	}
	return strconv.Itoa(int(i))
}
