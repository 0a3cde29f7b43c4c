package scaling

import "math"

// learnJobTime takes in the jobs that ended within the last dt seconds, and sets the function's
// mean time of a job:
//
//	s = (E + elapsed + prior) / (N + 1)
//
// E and N are the seconds and the number of jobs that ended well, each fading by exp(-dt / max(900
// s, 3 s)). elapsed is what the running jobs have taken so far: it counts as time without a job, so
// that a function whose jobs suddenly take far longer is noticed before the first of them ends. The
// prior is one job more, of the hinted or formerly learnt time; a hint or a guess counts with at
// most three times what was seen. As soon as 20 jobs have ended well, their mean is the prior: it
// is what a pool knows of a function that has had no job for hours. Failed jobs are not counted: a
// storm of quick failures would make the jobs that wait look short.
func (f *Function) learnJobTime(dt, ended, endedSeconds, unwell, busySeconds, busy float64) {
	fade := math.Exp(-dt / max(900, 3*f.Mean))
	f.Jobs = f.Jobs*fade + ended
	f.Seconds = f.Seconds*fade + endedSeconds
	if ended > 0 {
		f.Known = true
		f.Longest = max(f.Longest*fade, endedSeconds/ended)
	}
	// Telemetry gives all busy time and that of the jobs that ended well. What is left belongs to
	// running jobs and to those that ended otherwise, each of which takes its share away. With
	// nothing running the rest is nobody's.
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
	// unknownJob is what a job is taken to last at most, in seconds, while nothing is known about
	// it.
	unknownJob = 30.
	// fewJobs is how many jobs must have ended well before their mean is relied on where there is
	// time to see more.
	fewJobs = 20
	// mostPrior is how many times the mean seen so far a guess may be that counts beside it.
	mostPrior = 3
	// leastJob is the least time of a job, in seconds: no mean is ever 0.
	leastJob = 1e-4
	// unsureHint is by how much a hint is raised without telemetry, where nothing corrects it: it
	// may be three times too low, and more is at stake then.
	unsureHint = 4
	// provingJobs is how many jobs a queue must have fallen by to prove something.
	provingJobs = 20
)

// unsure is whether too few jobs have ended, lately and ever, to tell how long one takes.
func (f *Function) unsure() bool { return f.Jobs < fewJobs && !f.Saved }

// guessJobTime sets the mean time of a job where no telemetry tells it: four times the hint, which
// may be too low. Where there is no hint, what stands for one may be far too high, and a queue that
// falls by k jobs while its workers put in B slot-seconds proves that jobs take B/k at most, as any
// job that arrived meanwhile was done as well. What was proved fades within a quarter of an hour.
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
