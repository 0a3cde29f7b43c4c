package sim

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// Law decides the replicas of a run. It keeps the state of one run at a time; Simulator.Run resets
// it.
type Law interface {
	// Name returns the name of the law in reports.
	Name() string
	// start begins a run.
	start(s *Simulator)
	// step decides at the present time of the run, and may call s.setReplicas. It returns the time
	// of its next step.
	step(s *Simulator) (next float64)
}

type podState uint8

const (
	starting podState = iota
	working
	draining
	gone
)

type pod struct {
	created, registered float64
	since               float64 // since when busy is as telemetry reports it
	slot                int32   // the first of its slots
	busy, told          int16   // slots in use; slots in use as telemetry last reported
	state               podState
	seen                bool // telemetry has reported it
	dead, placed        bool // its node is dead; it has a node
	trouble             scaling.Trouble
	tie                 uint32  // decides Kubernetes' order among equal pods
	changed, stopped    float64 // when it last became ready or unready, and when it was told to stop
	cost, costBefore    int32   // its deletion cost
	costAt              float64 // since when
}

// Simulator runs workloads. It reuses its memory from run to run. It is not safe for concurrent
// use.
type Simulator struct {
	w      *Workload
	c      Config
	law    Law
	now    float64
	events events
	rng    *rand.Rand
	result *Result

	pods   []pod
	alive  []int32 // pods neither draining nor gone, oldest first
	dying  []int32 // pods that were told to stop in the last few seconds
	spec   int32
	placed int   // pods that have a node
	moved  int32 // sign of the last change of spec
	ready  int
	peaks  []float64 // when 1, 2, ... pods were first working, after the mark
	shown  float64   // when the operator last decided because its cache had changed
	parted bool      // a job server doesn't answer now

	slotPod   []int32 // -1: belongs to another worker
	slotJob   []int32 // -1: none
	slotStart []float64
	slotEnd   []float64
	idlePos   []int32
	idle      []int32
	foreign   []int32 // slots of others' workers
	turn      int

	next       []int32 // for each job, the next one in its queue
	head, tail []int32 // by function, server and priority
	total      []int   // jobs queued, running or delayed, by function and server
	running    []int   // by function and server
	queued     int
	runs       int // jobs that run
	left       int // jobs that haven't ended
	begun      []bool
	area       float64 // integral of the jobs that are queued or running, in job-seconds

	own [64]counters // by function, as the workers count
	rep [64]counters // the same as telemetry last reported
}

// counters are the counts of a pool's own workers for one function.
type counters struct {
	busy, draining          int64
	ended, failed, requeued int64
	endedSeconds            float64
	doneSeconds, startSum   float64
	runs                    int64
}

// busySeconds is the time for which jobs have run up to now.
func (c *counters) busySeconds(now float64) float64 {
	return c.doneSeconds + float64(c.runs)*now - c.startSum
}

// Run runs a workload under a law.
func (s *Simulator) Run(w *Workload, law Law, c Config) *Result {
	c = c.withDefaults()
	s.reset(w, law, c)
	law.start(s)
	for i := range w.Foreign {
		s.events.push(w.Foreign[i].At, foreignChanges, int32(i))
	}
	for i := range w.DeadNodes {
		s.events.push(w.DeadNodes[i].At, nodeDies, int32(i))
	}
	for _, at := range w.Restarts {
		s.events.push(at, operatorRestarts, 0)
	}
	s.askAt(c.Poll)
	arrival := 0
	for s.left > 0 || s.now < w.Horizon {
		if arrival < len(w.Jobs) && w.Jobs[arrival].At <= s.events.heap[0].at {
			s.advance(w.Jobs[arrival].At)
			s.arrive(int32(arrival))
			arrival++
			continue
		}
		e := s.events.pop()
		s.advance(e.at)
		s.handle(e)
	}
	for i := range s.pods {
		if s.pods[i].state != gone {
			s.account(&s.pods[i])
		}
	}
	r := s.result
	r.WorkerHours /= 3600
	r.Peak = len(s.peaks)
	if r.Peak > 0 {
		r.TimeToPeak = s.peaks[int(math.Ceil(0.9*float64(r.Peak)))-1] - w.Mark
	}
	return r
}

func (s *Simulator) reset(w *Workload, law Law, c Config) {
	k := len(w.Functions) * w.Servers
	*s = Simulator{
		w: w, c: c, law: law, result: &Result{Jobs: len(w.Jobs), Late: make([]int, len(c.Targets))},
		events: events{heap: s.events.heap[:0]}, rng: rand.New(rand.NewPCG(c.Seed, 0x9e3779b97f4a7c15)),
		pods: s.pods[:0], alive: s.alive[:0], dying: s.dying[:0], peaks: s.peaks[:0],
		slotPod: s.slotPod[:0], slotJob: s.slotJob[:0], slotStart: s.slotStart[:0], slotEnd: s.slotEnd[:0],
		idlePos: s.idlePos[:0], idle: s.idle[:0], foreign: s.foreign[:0],
		next: resize(s.next, len(w.Jobs)), head: resize(s.head, priorities*k), tail: resize(s.tail, priorities*k),
		total: resize(s.total, k), running: resize(s.running, k), begun: resize(s.begun, len(w.Jobs)),
		left: len(w.Jobs),
	}
	clear(s.begun)
	for i := range k {
		s.total[i], s.running[i] = 0, 0
	}
	for i := range s.head {
		s.head[i], s.tail[i] = -1, -1
	}
}

func resize[T any](x []T, n int) []T {
	if cap(x) < n {
		return make([]T, n)
	}
	return x[:n]
}

func (s *Simulator) advance(to float64) {
	s.area += float64(s.queued+s.runs) * (to - s.now)
	s.now = to
}

// counted returns the number of jobs at the job servers: queued, running or delayed.
func (s *Simulator) counted() int {
	n := 0
	for _, t := range s.total {
		n += t
	}
	return n
}

const priorities = 3

// line returns the index of the line in which a job waits.
func (s *Simulator) line(j *Job) int { return priorities*s.queue(j) + int(j.Priority) }

// queue returns the index of the counts for a job's function at its job server.
func (s *Simulator) queue(j *Job) int { return int(j.Function)*s.w.Servers + int(j.Server) }

func (s *Simulator) arrive(i int32) {
	j := &s.w.Jobs[i]
	s.total[s.queue(j)]++
	if j.Delay > 0 {
		s.events.push(s.now+float64(j.Delay), jobDue, i)
		return
	}
	s.runnable(i)
}

// runnable gives a job to an idle slot, or puts it at the end of its queue.
func (s *Simulator) runnable(i int32) {
	if n := len(s.idle); n > 0 {
		slot := s.idle[s.rng.IntN(n)]
		s.unidle(slot)
		s.begin(slot, i)
		return
	}
	s.next[i] = -1
	q := s.line(&s.w.Jobs[i])
	if s.tail[q] >= 0 {
		s.next[s.tail[q]] = i
	} else {
		s.head[q] = i
	}
	s.tail[q] = i
	s.queued++
}

// grab gives a slot its next job, if there is one: job servers in turn, functions in their order,
// and for each function the highest priority first.
func (s *Simulator) grab(slot int32) bool {
	if s.queued == 0 {
		return false
	}
	n := s.w.Servers
	for k := range n {
		server := (s.turn + k) % n
		for q := server; q < len(s.total); q += n {
			for l := priorities * q; l < priorities*(q+1); l++ {
				if i := s.head[l]; i >= 0 {
					if s.head[l] = s.next[i]; s.head[l] < 0 {
						s.tail[l] = -1
					}
					s.queued--
					s.turn = server + 1
					s.begin(slot, i)
					return true
				}
			}
		}
	}
	return false
}

func (s *Simulator) begin(slot, i int32) {
	j := &s.w.Jobs[i]
	wait := s.now - j.At - float64(j.Delay)
	if !s.begun[i] {
		s.begun[i] = true
		s.result.waits.add(wait)
		for k, t := range s.c.Targets {
			if wait > t+1e-9 {
				s.result.Late[k]++
			}
		}
	}
	s.running[s.queue(j)]++
	s.runs++
	took := float64(j.Seconds)
	if n := s.w.Saturation; n > 0 && s.runs > n {
		took *= float64(s.runs) / float64(n)
	}
	end := s.now + took
	s.slotJob[slot], s.slotStart[slot], s.slotEnd[slot] = i, s.now, end
	s.events.push(end, jobEnds, slot)
	if p := s.slotPod[slot]; p >= 0 {
		s.pods[p].busy++
		c := &s.own[j.Function]
		c.busy++
		c.runs++
		c.startSum += s.now
	}
}

// finish takes the job off a slot. If ended is true, the job has completed or failed; otherwise it
// is requeued.
func (s *Simulator) finish(slot int32, ended bool) {
	i := s.slotJob[slot]
	j := &s.w.Jobs[i]
	s.slotJob[slot] = -1
	s.running[s.queue(j)]--
	s.runs--
	took := s.now - s.slotStart[slot]
	if p := s.slotPod[slot]; p >= 0 {
		s.pods[p].busy--
		c := &s.own[j.Function]
		if s.pods[p].state == draining {
			c.draining--
		} else {
			c.busy--
		}
		c.runs--
		c.startSum -= s.slotStart[slot]
		c.doneSeconds += took
		switch {
		case !ended:
		case j.Fails:
			c.failed++
		default:
			c.ended++
			c.endedSeconds += took
		}
	}
	if ended {
		s.total[s.queue(j)]--
		s.left--
	}
}

func (s *Simulator) handle(e event) {
	switch e.kind {
	case jobEnds:
		if s.slotJob[e.who] < 0 || s.slotEnd[e.who] != e.at {
			return // its pod has crashed since
		}
		s.finish(e.who, true)
		s.freed(e.who)
	case jobDue:
		s.runnable(e.who)
	case podRegistered:
		s.register(e.who)
	case podCrashed:
		s.crash(e.who)
	case podFails, nodeDies, podLost, podCut, podEvicted:
		s.fault(e)
	case drainOver:
		s.kill(e.who)
	case snapshot:
		if l, ok := s.law.(*Ours); ok && l.ask(s) {
			s.tell()
		}
	case decide:
		next := s.law.step(s)
		s.trace()
		s.askAt(next)
	case applied:
		s.dying = slices.DeleteFunc(s.dying, func(i int32) bool { return s.now-s.pods[i].stopped > 2*watchLag })
		s.reconcile()
	case podShown:
		if l, ok := s.law.(*Ours); ok && e.at-s.shown >= 0.1 {
			s.shown = e.at // all patches of a round show at once
			l.plan(s)
			s.trace()
		}
	case foreignChanges:
		s.setForeign(s.w.Foreign[e.who].Slots)
	case operatorRestarts:
		if l, ok := s.law.(interface{ restart(*Simulator) }); ok {
			l.restart(s)
		}
	}
}

// fault handles events of pods and nodes that fail.
func (s *Simulator) fault(e event) {
	switch e.kind {
	case podFails:
		s.pods[e.who].trouble = scaling.TroubleFailing
	case nodeDies:
		s.die(e.who)
	case podLost:
		s.lose(e.who)
	case podCut:
		s.cut(e.who)
	case podEvicted:
		s.evict(e.who)
	}
}

// freed gives a slot that has ended its job the next one, or makes it idle. A draining pod ends with
// its last job.
func (s *Simulator) freed(slot int32) {
	if p := s.slotPod[slot]; p >= 0 && s.pods[p].state == draining {
		if s.pods[p].busy == 0 {
			s.end(p)
		}
		return
	}
	if s.slotPod[slot] == -2 { // a slot of another worker that has left
		return
	}
	if !s.grab(slot) {
		s.idlePos[slot] = int32(len(s.idle))
		s.idle = append(s.idle, slot)
	}
}

func (s *Simulator) unidle(slot int32) {
	at, last := s.idlePos[slot], s.idle[len(s.idle)-1]
	s.idle[at], s.idlePos[last] = last, at
	s.idle = s.idle[:len(s.idle)-1]
	s.idlePos[slot] = -1
}

// askAt schedules the law's next step, and the telemetry that it will see.
func (s *Simulator) askAt(at float64) {
	if _, ok := s.law.(*Ours); ok {
		s.events.push(max(s.now, at-s.c.TelemetryLag), snapshot, 0)
	}
	s.events.push(at, decide, 0)
}

func (s *Simulator) trace() {
	if s.c.Trace == nil {
		return
	}
	p := Point{At: s.now, Queued: s.queued, Running: s.runs, Replicas: int(s.spec), Working: s.ready}
	for _, i := range s.head {
		if i >= 0 {
			p.OldestWait = max(p.OldestWait, s.now-s.w.Jobs[i].At-float64(s.w.Jobs[i].Delay))
		}
	}
	if l, ok := s.law.(interface{ reason() string }); ok {
		p.Reason = l.reason()
	}
	s.c.Trace(p)
}
