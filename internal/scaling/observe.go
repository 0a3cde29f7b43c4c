package scaling

import (
	"math"
	"time"
)

const (
	maxCount = 1e9 // upper limit of a number of jobs, slots or seconds
	// maxSeconds bounds a counter of seconds.
	maxSeconds = 1e15
	// telemetryDelay is within how many seconds a ready pod reports telemetry; a worker reports at
	// least once a second.
	telemetryDelay = 3
	// freeSamples is for how many consecutive samples there must be free slots and a queue before
	// its jobs count as not runnable. Without telemetry it takes at least a minute, since a pod may
	// be ready before its worker is.
	freeSamples = 3
	// settling is the least time in seconds since a pod's registration before a free slot of it
	// says anything about the queue.
	settling = 10
	// fullSamples is for how many consecutive samples no slot must be free before stuck jobs count
	// as runnable again.
	fullSamples = 2
)

// view is one sample prepared for the law: times in seconds, slots and jobs as floats, the pool's
// own jobs separated from those of other workers.
type view struct {
	now, dt, tick, boot float64
	slotsPerPod         float64
	// Slots of pods that can take jobs, those of them that report no telemetry, slots of starting
	// pods (with the mean wait for them), slots of pods that can't start.
	slots, unreported, starting, wait, broken float64
	awaitingTelemetry                         float64 // starting slots of ready pods that may yet report
	pods                                      int32   // existing and not terminating
	// Running jobs of the pool, running jobs of other workers, queued jobs that can start, queued
	// jobs that can't.
	running, foreign, queued, stuck float64
	unconfirmed                     float64 // stuck jobs that no probe has confirmed
	free                            float64
	// free slots of pods that registered long enough ago to have polled for a job
	settled                     float64
	finished                    bool // a job ended since the last sample
	notRunnable, notProgressing bool
	load                        float64 // slots
	jobTime                     float64 // mean over the functions, by their jobs
	oldest                      float64 // age of the oldest queued job
	// a job has completed, now or in an earlier process; for a function with a queue, too few have
	// completed to know the job time
	known, unsure      bool
	backlog            float64 // slot-seconds of work in the queue
	restarted, partial bool    // the history has a gap; a job server is silent
}

// observe updates the state with a sample.
func (s *State) observe(p *Policy, in *Sample, t time.Time) view {
	v := view{now: max(s.at(t), s.Last), tick: p.Tick.Seconds(), slotsPerPod: float64(p.Concurrency)}
	v.dt, v.partial = v.now-s.Last, in.Partial
	v.restarted = !s.Seen || v.dt > max(3*v.tick, 30)
	s.learnBoot(in.Pods)
	v.boot = s.boot()
	v.countPods(s, in, t)
	s.dropFunctions(in)
	v.ownAndForeign(in.Functions)
	s.WithoutTelemetry = v.unreported > 0 || (s.WithoutTelemetry && v.slots == 0)
	s.Telemetry = v.unreported < v.slots || (v.slots == 0 && s.Telemetry)

	prior := p.JobTimeHint.Seconds()
	if prior == 0 {
		prior = min(p.waitOrDefault().Seconds(), unknownJob)
	}
	// The shares of the unreported running jobs that run in the pool's own ready pods, and in those
	// that still count as starting.
	ownShare, startingShare := 0., 0.
	if other := v.running + v.foreign; other > 0 {
		ownShare = min(1, v.unreported/other)
		startingShare = min(1-ownShare, v.awaitingTelemetry/other)
	}
	v.running, v.foreign = 0, 0
	worked := 0.
	for i := range in.Functions {
		g := &in.Functions[i]
		f := s.function(g.Name, i, prior)
		f.Unseen = unseen(in, g)
		f.skew(in, g)
		worked += f.update(g, &v, prior, ownShare, startingShare, p.JobTimeHint > 0)
	}
	v.free = max(0, v.slots-v.running)
	s.findStuck(in.Functions, &v, worked)
	limit := max(8, maxCohorts/max(1, len(s.Functions)))
	weight := 0.
	for i := range in.Functions {
		g := &in.Functions[i]
		f := s.function(g.Name, i, prior)
		f.enqueue(g, &v, p.waitOrDefault().Seconds(), limit)
		f.Load = f.load(v.now, f.counted(g, &v), f.Mean, 0)
		v.load += f.Load
		v.jobTime += f.Mean * (f.Jobs + 1)
		weight += f.Jobs + 1
		v.known = v.known || f.Known
		if f.waiting(g) > 0 && f.unsure() {
			v.unsure = true
		}
		v.backlog += float64(f.waiting(g)) * f.Mean
		if at, ok := f.oldest(); ok {
			v.oldest = max(v.oldest, (v.now-at)*f.Skew)
		}
		f.Total, f.Running = g.Total+f.Unseen, g.Running
	}
	v.jobTime /= max(weight, 1)
	s.Last, s.Seen = v.now, true
	return v
}

// countPods counts the slots of pods that can take jobs, that are starting and that can't start.
func (v *view) countPods(s *State, in *Sample, t time.Time) {
	limit := 4*v.boot + 60
	startingPods, waits := 0., 0.
	for i := range in.Pods {
		p := &in.Pods[i]
		if p.Terminating {
			continue
		}
		v.pods++
		slots := v.slotsPerPod
		if p.Capacity > 0 {
			slots = float64(p.Capacity)
		}
		age := t.Sub(p.Created).Seconds()
		if p.Created.IsZero() {
			age = v.now - s.Changed // only its existence is known
		}
		switch {
		case p.works() && !p.Telemetry && !s.WithoutTelemetry && !p.Registered.IsZero() &&
			t.Sub(p.Registered).Seconds() < telemetryDelay:
			// It is ready, but may yet report telemetry.
			v.starting += slots
			v.awaitingTelemetry += slots
			startingPods++
			waits++
		case p.works():
			if !p.Ready && p.WasReady {
				slots = min(slots, float64(p.Busy))
			}
			v.slots += slots
			if p.Registered.IsZero() || t.Sub(p.Registered).Seconds() >= max(settling, 2*v.tick) {
				v.settled += max(0, slots-float64(p.Busy))
			}
			if !p.Telemetry {
				v.unreported += slots
			}
		case p.Broken || p.TakesNoJobs || age > limit && !p.Gated:
			v.broken += slots
		default:
			v.starting += slots
			startingPods++
			waits += max(1, v.boot-max(age, 0))
		}
	}
	// Replicas without a pod are about to get one, unless they have lacked it for a long time; pods
	// beyond the replicas are about to be removed.
	switch absent := float64(in.Replicas) - float64(v.pods); {
	case absent > 0 && v.now-s.Changed > limit:
		v.broken += absent * v.slotsPerPod
	case absent > 0:
		v.starting += absent * v.slotsPerPod
		startingPods += absent
		waits += absent * max(1, v.boot)
	case absent < 0:
		v.slots = max(0, v.slots+absent*v.slotsPerPod)
		v.unreported = min(v.unreported, v.slots)
	}
	if startingPods > 0 {
		v.wait = waits / startingPods
	}
}

// works reports whether a pod can take jobs.
func (p *PodSample) works() bool { return (p.Ready || p.Telemetry) && !p.TakesNoJobs }

// ownAndForeign adds up the running jobs that telemetry reports (running) and the others (foreign).
func (v *view) ownAndForeign(functions []FunctionSample) {
	for i := range functions {
		v.foreign += functions[i].unreportedJobs()
	}
}

// unreportedJobs is how many running jobs telemetry doesn't report.
func (g *FunctionSample) unreportedJobs() float64 {
	return clamp(float64(g.Running)-float64(g.Busy)-float64(g.Draining), 0, maxCount)
}

func (g *FunctionSample) queued() int64 {
	return int64(clamp(float64(g.Total)-max(0, float64(g.Running)), 0, maxCount))
}

// waiting is how many queued jobs can start.
func (f *Function) waiting(g *FunctionSample) int64 {
	if g.NotRunnable {
		return 0
	}
	return max(0, g.queued()+f.Unseen-f.Stuck)
}

// unseen estimates how many jobs the silent job servers have queued beyond their last answers: on
// average as many each as the answering ones.
func unseen(in *Sample, g *FunctionSample) int64 {
	if in.Silent <= 0 || in.Answering <= 0 || g.NotRunnable {
		return 0
	}
	old := min(max(0, g.SilentQueued), g.queued())
	share := clamp(float64(g.queued()-old)*float64(in.Silent)/float64(in.Answering), 0, maxCount)
	return max(0, int64(share)-old)
}

// skew records how unevenly a function's jobs are queued at the answering job servers; while one is
// silent, it keeps the last value.
func (f *Function) skew(in *Sample, g *FunctionSample) {
	if in.Silent > 0 && f.Skew > 0 {
		return
	}
	f.Skew = 1
	if q := float64(g.queued() - g.SilentQueued); in.Answering > 1 && q >= 10 {
		f.Skew = clamp(float64(in.Answering)*float64(g.LongestQueue)/q, 1, 2)
	}
}

// update adds what a function's workers did since the last sample, and returns the slot-seconds
// that the pool's own slots were busy. ownShare and startingShare are the shares of the unreported
// running jobs that run in the pool's own pods.
func (f *Function) update(g *FunctionSample, v *view, prior, ownShare, startingShare float64, hinted bool) float64 {
	unreportedJobs := g.unreportedJobs()
	own := clamp(float64(g.Busy), 0, maxCount) + unreportedJobs*ownShare
	foreign := unreportedJobs * (1 - ownShare - startingShare)
	if v.partial {
		// The running jobs of a silent server are from its last answer: none of them is new.
		foreign = min(foreign, f.Foreign)
	}
	first := f.Total < 0
	if first {
		f.LastEnded = v.now
	} else if !f.Known {
		f.Prior = prior
	}
	ended := gain(f.Ended, g.Ended, first)
	endedTotal, busyTotal := clamp(g.EndedSeconds, 0, maxSeconds), clamp(g.BusySeconds, 0, maxSeconds)
	endedSeconds := gainSeconds(f.EndedSeconds, endedTotal, first)
	failed, requeued := gain(f.Failed, g.Failed, first), gain(f.Requeued, g.Requeued, first)
	busySeconds := gainSeconds(f.Busy, busyTotal, first)
	f.Ended, f.EndedSeconds, f.Failed, f.Requeued, f.Busy = g.Ended, endedTotal, g.Failed, g.Requeued, busyTotal
	f.learnJobTime(v.dt, ended, endedSeconds, failed+requeued, busySeconds, clamp(float64(g.Busy), 0, maxCount))
	if v.unreported > 0 && !f.Known {
		f.guessJobTime(g, v.dt, hinted, first)
	}
	f.Rest = f.Mean
	if g.Busy > 0 {
		// If job times differ much, most running jobs are long ones. Seen from any moment, they
		// have as much time left as they have already taken.
		f.Rest = max(f.Mean, f.Elapsed/float64(g.Busy))
	}
	f.Failures += int64(failed + requeued)
	if ended > 0 {
		f.Failures, f.LastEnded = 0, v.now
	}
	if f.Failures >= 3 && v.now-f.LastEnded >= max(60, 3*f.Mean) && g.Total > 0 {
		v.notProgressing = true
	}
	// Of the jobs that telemetry doesn't report, as many end as their number and mean time suggest.
	f.Ends = ended + failed + unreportedJobs*v.dt/max(f.Mean, 1e-3)
	f.WorkBefore = f.Work
	worked := busySeconds + unreportedJobs*ownShare*v.dt
	f.Work += worked
	f.Trusted = hinted || f.Known
	v.finished = v.finished || ended+failed > 0
	v.running += own
	v.foreign += foreign
	// A job that telemetry hasn't reported yet looks foreign for one sample.
	f.Serving = own + min(foreign, f.Foreign)
	f.Foreign = foreign
	return worked
}

// gain is by how much a counter rose; a counter that fell was reset.
func gain(before, after int64, first bool) float64 {
	if first || after < before {
		return 0
	}
	return clamp(float64(after)-float64(before), 0, maxCount)
}

func gainSeconds(before, after float64, first bool) float64 {
	if first || after < before {
		return 0
	}
	return clamp(after-before, 0, maxCount)
}

// findStuck finds queued jobs that are not assigned to free slots: if slots were free for some
// consecutive samples, the jobs queued all that time can't start (they are scheduled for later,
// their client is gone, or these pods don't reach their job server). Once all slots are busy for a
// while, they may have become runnable.
func (s *State) findStuck(functions []FunctionSample, v *view, worked float64) {
	queued := false
	for i := range functions {
		queued = queued || functions[i].queued() > 0
	}
	idle := v.slots
	if v.dt > 0 {
		idle -= worked / v.dt
	}
	// While pods start there is always one that is ready and has not polled for a job yet; that
	// says nothing about the queue.
	free := v.free >= 1 && v.settled >= 1 && idle >= max(0.5, 0.2*v.slots) && queued
	need := int32(freeSamples)
	if v.unreported > 0 {
		need = max(need, int32(math.Ceil(60/max(v.tick, 0.1))))
	}
	switch {
	case v.dt > 0 && v.dt < v.tick/2:
		// Decided again for another reason than a new sample, such as a pod that became ready: the
		// same queue is not counted twice.
	case free:
		s.FreeFor, s.FullFor = min(s.FreeFor+1, 1000), 0
	case v.slots > 0 && v.free < 1:
		s.FreeFor, s.FullFor = 0, min(s.FullFor+1, 1000)
	default:
		s.FreeFor, s.FullFor = 0, 0
	}
	for i := range functions {
		g := &functions[i]
		f := s.function(g.Name, i, 0)
		q := g.queued()
		if free {
			if s.FreeFor == 1 {
				f.Idled = q
			}
			f.Idled = min(f.Idled, q)
			if s.FreeFor >= need {
				f.Stuck = max(f.Stuck, f.Idled)
			}
		}
		if s.FullFor >= fullSamples || g.Runnable {
			f.Stuck = 0 // a verdict overrides what free slots suggest
		}
		f.Stuck = min(f.Stuck, q)
		v.notRunnable = v.notRunnable || (q > 0 && (g.NotRunnable || (f.Stuck > 0 && s.FreeFor >= need)))
	}
}

// enqueue updates the cohorts and the load's history with the sample.
func (f *Function) enqueue(g *FunctionSample, v *view, target float64, limit int) {
	waiting := float64(f.waiting(g))
	before := max(0, float64(f.Total-f.Running-f.Stuck))
	if f.Total < 0 {
		f.arrive(v.now, waiting, waiting, target, limit)
		before = waiting
	} else {
		// Arrivals follow from the change of the total and the jobs that ended. Telemetry may be a
		// moment late: the next sample corrects what one sample missed.
		net := float64(g.Total+f.Unseen-f.Total) + f.Ends
		f.arrive(v.now-v.dt/2, max(0, net+f.Carry), waiting, target, limit)
		f.Carry = min(0, net)
	}
	if !f.trusts(v) {
		before = 0
	}
	f.recordPoint(v.now, v.now-v.dt, f.WorkBefore, before, f.counted(g, v), f.Mean)
	v.queued += float64(f.waiting(g))
	if g.NotRunnable {
		v.stuck += float64(g.queued())
	} else {
		v.stuck += float64(f.Stuck)
		v.unconfirmed += float64(f.Stuck)
	}
}

// trusts reports whether the queue may count as work to come: not if the job time is a mere guess.
func (f *Function) trusts(v *view) bool { return f.Trusted || v.unreported == 0 }

// counted is the queue length that the load is computed from.
func (f *Function) counted(g *FunctionSample, v *view) float64 {
	if !f.trusts(v) {
		return 0
	}
	return float64(f.waiting(g))
}

// dropFunctions removes the functions that the pool no longer has. Its pods may still run jobs of
// them, unseen.
func (s *State) dropFunctions(in *Sample) {
	functions := in.Functions
	if len(s.Functions) <= len(functions) {
		return
	}
	in.PossibleRestart = true
	kept := s.Functions[:0]
	for i := range s.Functions {
		for j := range functions {
			if functions[j].Name == s.Functions[i].Name {
				kept = append(kept, s.Functions[i])
				break
			}
		}
	}
	clear(s.Functions[len(kept):])
	s.Functions = kept
}
