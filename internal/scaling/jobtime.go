package scaling

import "math"

// learnJobTime adds the jobs that ended within the last dt seconds, and sets the function's mean
// time of a job:
//
//	s = (E + elapsed + prior) / (N + 1)
//
// E and N are the seconds and the number of completed jobs, each decaying by exp(-dt / max(900 s, 3
// s)). elapsed is the time that the running jobs have taken so far: it counts as time without a
// job, so that a function whose jobs suddenly take far longer is noticed before the first of them
// ends. The prior is one more job, of the hinted or previously measured time; a hint or a guess
// counts with at most three times the measured mean. As soon as 20 jobs have completed, their mean
// is the prior: it is the job time of a pool that has had no job for hours. Failed jobs are not
// counted: many quick failures would make the queued jobs look short.
func (f *Function) learnJobTime(dt, ended, endedSeconds, unwell, busySeconds, busy float64) {
	fade := math.Exp(-dt / max(900, 3*f.Mean))
	f.Jobs = f.Jobs*fade + ended
	f.Seconds = f.Seconds*fade + endedSeconds
	if ended > 0 {
		f.Known = true
		f.Longest = max(f.Longest*fade, endedSeconds/ended)
	}
	// Telemetry reports all busy time and that of the completed jobs. The rest belongs to running
	// jobs and to failed or requeued ones, each of which takes its share away. If nothing runs, the
	// rest is dropped.
	f.Elapsed = max(0, f.Elapsed+busySeconds-endedSeconds)
	if unwell > 0 {
		f.Elapsed *= busy / (busy + unwell)
	}
	if busy == 0 {
		f.Elapsed = 0
	}
	prior := f.Prior
	switch {
	case f.Jobs >= fewJobs:
		f.Prior, f.Saved = max(f.Seconds/f.Jobs, leastJob), true
		prior = f.Prior
	case f.Jobs > 0 && !f.Saved:
		prior = min(prior, max(leastJob, mostPrior*(f.Seconds+f.Elapsed)/f.Jobs))
	}
	f.Mean = (f.Seconds + f.Elapsed + prior) / (f.Jobs + 1)
}

const (
	// unknownJob is the largest assumed job time, in seconds, until one was measured.
	unknownJob = 30.
	// fewJobs is how many jobs must have completed before their mean is relied on, if there is time
	// for more.
	fewJobs = 20
	// mostPrior is by how many times a guess may exceed the mean measured so far.
	mostPrior = 3
	// leastJob is the least time of a job, in seconds: no mean is ever 0.
	leastJob = 1e-4
	// unsureHint is the factor by which a hint is raised without telemetry, since no measurement
	// corrects it: it may be three times too low, and that costs more than one too high.
	unsureHint = 4
	// provingJobs is by how many jobs a queue must have fallen to prove a bound of the job time.
	provingJobs = 20
)

// unsure reports whether too few jobs have completed, recently and ever, to know the job time.
func (f *Function) unsure() bool { return f.Jobs < fewJobs && !f.Saved }

// guessJobTime sets the mean job time without telemetry: four times the hint, which may be too low.
// Without a hint, the assumed time may be far too high. A queue that falls by k jobs while its
// workers are busy for B slot-seconds proves that jobs take at most B/k, as any job that arrived
// meanwhile was done as well. The proved bound decays within a quarter of an hour.
func (f *Function) guessJobTime(g *FunctionSample, dt float64, hinted, first bool) {
	if hinted {
		f.Mean = unsureHint * f.Prior
		return
	}
	if first || g.Total >= f.Peak {
		f.Peak, f.PeakWork = g.Total, 0
	} else {
		f.PeakWork += dt * max(1, float64(f.Running), float64(g.Running))
		if fallen := float64(f.Peak - g.Total); fallen >= provingJobs {
			proved := f.PeakWork / fallen * (1 + 1.5/math.Sqrt(fallen))
			if f.Proved == 0 || proved < f.Proved {
				f.Proved = proved
			}
			f.Peak, f.PeakWork = g.Total, 0
		}
	}
	f.Mean = f.Prior
	if f.Proved > 0 {
		f.Proved *= math.Exp(dt / 900)
		f.Mean = min(f.Proved, f.Prior)
	}
}
