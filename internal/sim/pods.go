package sim

import "strconv"

// setReplicas orders so many replicas; the pods follow after the API's latency.
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

// reconcile makes the pods as many as ordered, as a Deployment's ReplicaSet does: first to go are pods that aren't ready, then those marked, then the youngest.
func (s *Simulator) reconcile() {
	for int32(len(s.alive)) < s.spec {
		s.create()
	}
	for int32(len(s.alive)) > s.spec {
		best := len(s.alive) - 1
		for k := len(s.alive) - 1; k >= 0; k-- {
			if s.goesBefore(&s.pods[s.alive[k]], &s.pods[s.alive[best]]) {
				best = k
			}
		}
		p := s.alive[best]
		s.alive = append(s.alive[:best], s.alive[best+1:]...)
		s.stop(p)
	}
}

func (s *Simulator) goesBefore(a, b *pod) bool {
	if (a.state == starting) != (b.state == starting) {
		return a.state == starting
	}
	return a.marked && !b.marked
}

func (s *Simulator) create() {
	p := int32(len(s.pods))
	first := int32(len(s.slotPod))
	s.pods = append(s.pods, pod{created: s.now, registered: -1, slot: first})
	for range s.w.Concurrency {
		s.addSlot(p)
	}
	s.alive = append(s.alive, p)
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
	p.state = working
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

// stop tells a pod to stop: it takes no new job and is gone as soon as it has none.
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
	p.state = draining
	if p.busy == 0 {
		s.end(i)
		return
	}
	s.result.Drained++
	s.events.push(s.now+s.c.Drain, drainOver, i)
}

// end accounts for a pod that is gone.
func (s *Simulator) end(i int32) {
	s.account(&s.pods[i])
	s.pods[i].state = gone
}

func (s *Simulator) account(p *pod) { s.result.WorkerHours += s.now - p.created }

// kill ends a pod whose time to drain is over; its jobs go back to their job servers.
func (s *Simulator) kill(i int32) {
	if s.pods[i].state != draining {
		return
	}
	s.result.Interrupted += int(s.pods[i].busy)
	s.abandon(i)
	s.end(i)
}

// abandon gives a pod's running jobs back.
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

// crash restarts a working pod's container: its jobs go back, and after half a boot it works again.
func (s *Simulator) crash(i int32) {
	p := &s.pods[i]
	if p.state != working {
		return
	}
	s.countReady(-1)
	p.state = starting
	s.abandon(i)
	s.events.push(s.now+s.c.Boot/2, podRegistered, i)
}

// setForeign makes others' slots so many.
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

// tell is what telemetry tells at this moment.
func (s *Simulator) tell() {
	for f := range s.w.Functions {
		s.rep[f] = s.own[f]
		s.rep[f].doneSeconds = s.own[f].busySeconds(s.now)
	}
	for _, i := range s.alive {
		p := &s.pods[i]
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
