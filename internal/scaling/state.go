package scaling

import (
	"slices"
	"time"
	"unsafe"
)

// JobTime is the learnt mean time of a function's jobs.
type JobTime struct {
	Function string
	Time     time.Duration
}

// Learnt is what is worth keeping over a restart of the operator: it is written to the pool's
// status and handed to NewState.
type Learnt struct {
	// Boot is the median time from a pod's creation to its registration; 0 where none was seen.
	Boot time.Duration
	// JobTimes of the functions where at least one job has ended well, in the order of the samples.
	JobTimes []JobTime
}

// State is what the law remembers of a pool. Its fields are exported so that a decision can be
// recorded and replayed (encoding/json takes it); only this package gives them meaning. Times in it
// are seconds since Epoch. It grows with what happens: an idle pool's is small, and history gets
// coarser with age.
type State struct {
	Epoch time.Time
	// Last is the time of the last decision, Seen whether there was one, Replicas the number found
	// then.
	Last     float64
	Seen     bool
	Replicas int32
	// Wanted is what the last decision asked for.
	Wanted int32
	// Changed is when the replicas were last seen to change.
	Changed float64
	// HoldUntil and HoldWhy forbid getting smaller for a time.
	HoldUntil float64
	HoldWhy   Hold
	// Active is when something was last queued, running or finished.
	Active float64
	// Quiet is the first of the samples in a row that showed nothing to do; negative while there is
	// something. What came between the last busy sample and that one is not known.
	Quiet float64
	// IdleSlots remembers the least idle slots since the last action, SpareSlots the least beyond
	// the load.
	IdleSlots, SpareSlots Window
	// Lowest and Highest remember the law's answers for behavior's stabilization, Changes the
	// replicas added and taken for its policies.
	Lowest, Highest Window
	Changes         []Change
	// Boot is what was learnt about start times.
	Boot BootTimes
	// Functions is what is known of each function.
	Functions []Function
	// Telemetry is whether pods told what they do, when there last were any; Dark, whether some
	// worked without ever telling.
	Telemetry, Dark bool
	// Scarce is whether pods start too slowly for the target wait, so that spare slots are kept.
	Scarce bool
	// Emptied is when the pool last went to its minimum for being empty, Patience by how much the
	// idle time is lengthened where that proved wrong.
	Emptied, Patience float64
	// FreeFor is for how many samples on end free slots stood beside a queue, FullFor for how many
	// no slot was free.
	FreeFor, FullFor int32
	// Saved are the job times that NewState was given, for functions not seen yet.
	Saved []JobTime
}

// Function is what is known of one function.
type Function struct {
	Name string
	// The counters of the last sample.
	Total, Running          int64
	Ended, Failed, Requeued int64
	EndedSeconds, Busy      float64
	// Foreign is how many jobs others ran then, Serving how many slots turn to this function's
	// queue when they end their job, Ends how many jobs ended.
	Foreign, Serving, Ends float64
	// Work is the busy time of the pool's own slots since Epoch, in slot-seconds, WorkBefore the
	// same one sample ago, Load what follows; Points are its past values, coarser with age.
	// Trusted: the time of a job is more than a guess, so that the queue may count as work to come.
	Work, WorkBefore, Load float64
	Trusted                bool
	Points                 []Point
	// Jobs and Seconds are number and time of the jobs that ended well, decaying with age; Elapsed
	// is what the running ones have taken, Prior the assumed time of one more job, Mean what
	// follows from them.
	Jobs, Seconds, Elapsed, Prior, Mean float64
	// Rest is the mean time that the running jobs take from now on.
	Rest float64
	// Without telemetry: the queue's last peak and the work done since, in slot-seconds, and the
	// least job time that the fall of a queue has proved.
	Peak             int64
	PeakWork, Proved float64
	// Known: the mean rests on at least one job that ended well, in this life or before.
	Known bool
	// Saved: the prior is a mean that was learnt, in this life or a former one.
	Saved bool
	// Longest is a decaying maximum of the mean time of the jobs seen in one tick.
	Longest float64
	// Cohorts are the queued jobs by time of arrival, oldest first. Carry is what the last sample
	// had too few.
	Cohorts []Cohort
	Carry   float64
	// Unseen is how many jobs more are taken to wait at job servers that are silent.
	Unseen int64
	// Skew is by how much the longest of the job servers' queues exceeds their mean (1 to 2).
	Skew float64
	// Stuck jobs of the queue were not handed to free slots; Idled is the least queue since slots
	// were free beside it.
	Stuck, Idled int64
	// Failures since the last job that ended well, and when that was.
	Failures  int64
	LastEnded float64
}

// NewState is the state of a pool that this process sees for the first time. Nothing shrinks until
// a full window has been seen.
func NewState(learnt Learnt, now time.Time) State {
	s := State{Epoch: now, HoldWhy: HoldStart, HoldUntil: -1, Quiet: -1, Patience: 1, Emptied: -1}
	s.Boot.Median = clamp(learnt.Boot.Seconds(), 0, maxBoot)
	for _, j := range learnt.JobTimes {
		if j.Time > 0 {
			s.Saved = append(s.Saved, j)
		}
	}
	return s
}

// Learnt returns what is worth keeping over a restart.
func (s *State) Learnt() Learnt {
	l := Learnt{Boot: seconds(s.Boot.Median)}
	for i := range s.Functions {
		if f := &s.Functions[i]; f.Known {
			l.JobTimes = append(l.JobTimes, JobTime{f.Name, max(seconds(f.Mean), time.Microsecond)})
		}
	}
	for _, j := range s.Saved {
		if !slices.ContainsFunc(l.JobTimes, func(k JobTime) bool { return k.Function == j.Function }) {
			l.JobTimes = append(l.JobTimes, j)
		}
	}
	return l
}

// Age is for how long the state has been kept at a time.
func (s *State) Age(now time.Time) time.Duration { return now.Sub(s.Epoch) }

// Waiting returns how many queued jobs of a function free slots were not given, and the mean time
// of its jobs in seconds.
func (s *State) Waiting(function string) (stuck int64, jobSeconds float64) {
	for i := range s.Functions {
		if f := &s.Functions[i]; f.Name == function {
			return f.Stuck, f.Mean
		}
	}
	return 0, 0
}

// Clone returns a copy that shares no memory with s.
func (s *State) Clone() State {
	t := *s
	t.IdleSlots.Entries = slices.Clone(s.IdleSlots.Entries)
	t.SpareSlots.Entries = slices.Clone(s.SpareSlots.Entries)
	t.Lowest.Entries = slices.Clone(s.Lowest.Entries)
	t.Highest.Entries = slices.Clone(s.Highest.Entries)
	t.Changes = slices.Clone(s.Changes)
	t.Saved = slices.Clone(s.Saved)
	t.Functions = slices.Clone(s.Functions)
	for i := range t.Functions {
		f := &t.Functions[i]
		f.Points = slices.Clone(f.Points)
		f.Cohorts = slices.Clone(f.Cohorts)
	}
	return t
}

// Size is the memory that s takes, in bytes, names excepted.
func (s *State) Size() int {
	n := int(unsafe.Sizeof(*s))
	n += (cap(s.IdleSlots.Entries) + cap(s.SpareSlots.Entries) + cap(s.Lowest.Entries) + cap(s.Highest.Entries)) * int(
		unsafe.Sizeof(Entry{}),
	)
	n += cap(s.Changes)*int(unsafe.Sizeof(Change{})) + cap(s.Saved)*int(
		unsafe.Sizeof(JobTime{}),
	) + cap(s.Functions)*int(unsafe.Sizeof(Function{}))
	for i := range s.Functions {
		f := &s.Functions[i]
		n += cap(f.Points)*int(unsafe.Sizeof(Point{})) + cap(f.Cohorts)*int(unsafe.Sizeof(Cohort{}))
	}
	return n
}

// at is the time t in the state's seconds.
func (s *State) at(t time.Time) float64 { return t.Sub(s.Epoch).Seconds() }

// function finds or adds the function of that name; hint is where it probably is.
func (s *State) function(name string, hint int, prior float64) *Function {
	if hint < len(s.Functions) && s.Functions[hint].Name == name {
		return &s.Functions[hint]
	}
	for i := range s.Functions {
		if s.Functions[i].Name == name {
			return &s.Functions[i]
		}
	}
	f := Function{Name: name, Prior: prior, Total: -1}
	for i, j := range s.Saved {
		if j.Function == name {
			f.Prior, f.Known, f.Saved = j.Time.Seconds(), true, true
			s.Saved = slices.Delete(s.Saved, i, i+1)
			break
		}
	}
	f.Mean = f.Prior
	s.Functions = append(s.Functions, f)
	return &s.Functions[len(s.Functions)-1]
}

func seconds(x float64) time.Duration {
	return time.Duration(clamp(x, 0, 1e9) * float64(time.Second))
}

// clamp keeps x within [lo, hi]; what is not a number becomes lo.
func clamp(x, lo, hi float64) float64 {
	if !(x >= lo) {
		return lo
	}
	return min(x, hi)
}
