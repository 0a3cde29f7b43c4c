package scaling

import "math"

// learnJobTime takes in the jobs that ended within the last dt seconds, and sets the function's mean time of a job:
//
//	s = (E + elapsed + prior) / (N + 1)
//
// E and N are the seconds and the number of jobs that ended well, each fading by exp(-dt / max(900 s, 3 s)). elapsed is what the running jobs have taken so far:
// it counts as time without a job, so that a function whose jobs suddenly take far longer is noticed before the first of them ends. The prior is one job more,
// of the hinted or formerly learnt time. Failed jobs are not counted: a storm of quick failures would make the jobs that wait look short.
func (f *Function) learnJobTime(dt, ended, endedSeconds, unwell, busySeconds, busy float64) {
	fade := math.Exp(-dt / max(900, 3*f.Mean))
	f.Jobs = f.Jobs*fade + ended
	f.Seconds = f.Seconds*fade + endedSeconds
	if ended > 0 {
		f.Known = true
		f.Longest = max(f.Longest*fade, endedSeconds/ended)
	}
	// Telemetry gives all busy time and that of the jobs that ended well. What is left belongs to running jobs and to those that ended otherwise, each of which
	// takes its share away. With nothing running the rest is nobody's.
	f.Elapsed = max(0, f.Elapsed+busySeconds-endedSeconds)
	if unwell > 0 {
		f.Elapsed *= busy / (busy + unwell)
	}
	if busy == 0 {
		f.Elapsed = 0
	}
	f.Mean = (f.Seconds + f.Elapsed + f.Prior) / (f.Jobs + 1)
}
