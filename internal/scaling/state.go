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

// Learnt is what is kept over a restart of the operator: it is written to the pool's status and
// passed to NewState.
type Learnt struct {
	// Boot is the median time from a pod's creation to its registration; 0 if none was measured.
	Boot time.Duration
	// JobTimes of the functions with at least one completed job, in the order of the samples.
	JobTimes []JobTime
}

// State is what the law remembers of a pool. Its fields are exported so that a decision can be
// recorded and replayed (encoding/json takes it); only this package gives them meaning. Times in it
// are seconds since Epoch. Its size follows the pool's activity: an idle pool's is small, and
// history gets coarser with age.
type State struct {
	Epoch time.Time
	// Last is the time of the last decision, Seen whether there was one, Replicas the number at
	// that time.
	Last     float64
	Seen     bool
	Replicas int32
	// Wanted is the last decision's number of replicas.
	Wanted int32
	// Changed is when the replicas were last seen to change.
	Changed float64
	// HoldUntil and HoldWhy forbid scaling down for a time.
	HoldUntil float64
	HoldWhy   Hold
	// LastActive is when a job was last queued, running or finished.
	LastActive float64
	// QuietSince is the time of the first of the consecutive samples without any job; negative
	// while there are jobs. Nothing is known of the time between the last busy sample and that one.
	QuietSince float64
	// IdleSlots holds the least number of idle slots since the last change, SpareSlots the least
	// number beyond the load.
	IdleSlots, SpareSlots Window
	// Lowest and Highest hold the law's results for behavior's stabilization, Changes the replicas
	// added and removed for its policies.
	Lowest, Highest Window
	Changes         []Change
	// Boot holds the measured start times.
	Boot BootTimes
	// Functions holds the state of each function.
	Functions []Function
	// Telemetry is whether pods reported telemetry when there last were any; WithoutTelemetry
	// whether some ran jobs without ever reporting any.
	Telemetry, WithoutTelemetry bool
	// IdleUnknown is that of the last decision, IdleUnknownSince since when the samples have differed
	// from it.
	IdleUnknown      bool
	IdleUnknownSince float64
	// Scarce is whether pods start too slowly for the target wait, so that spare slots are kept.
	Scarce bool
	// EmptiedAt is when the pool was last scaled to its minimum for being empty, IdleFactor by how
	// much the idle time is lengthened because that was too early.
	EmptiedAt, IdleFactor float64
	// FreeFor is for how many consecutive samples there were free slots and a queue, FullFor for
	// how many no slot was free.
	FreeFor, FullFor int32
	// Saved are the job times that NewState was given, of functions not seen yet.
	Saved []JobTime
}

// Function is the state of one function.
type Function struct {
	Name string
	// The counters of the last sample.
	Total, Running          int64
	Ended, Failed, Requeued int64
	EndedSeconds, Busy      float64
	// Foreign is how many jobs other workers ran then, Serving how many slots take a job of this
	// function next when their current one ends, Ends how many jobs ended.
	Foreign, Serving, Ends float64
	// Work is the busy time of the pool's own slots since Epoch, in slot-seconds, WorkBefore the
	// same one sample ago, Load the load computed from them; Points are its past values, coarser
	// with age. Trusted: the job time is more than a guess, so that the queue may count as work to
	// come.
	Work, WorkBefore, Load float64
	Trusted                bool
	Points                 []Point
	// Jobs and Seconds are the number and the total time of completed jobs, decaying with age;
	// Elapsed is the time that the running ones have taken, Prior the assumed time of one more job,
	// Mean the mean job time computed from them.
	Jobs, Seconds, Elapsed, Prior, Mean float64
	// Rest is the mean remaining time of the running jobs.
	Rest float64
	// Without telemetry: the queue's last peak and the work done since, in slot-seconds, and the
	// least upper bound of the job time that a falling queue has proved.
	Peak             int64
	PeakWork, Proved float64
	// Known: the mean rests on at least one completed job, measured by this process or an earlier
	// one.
	Known bool
	// Saved: the prior is a measured mean, of this process or an earlier one.
	Saved bool
	// Longest is a decaying maximum of the mean time of the jobs that ended in one tick.
	Longest float64
	// Cohorts are the queued jobs by time of arrival, oldest first. Carry is by how many arrivals
	// the last sample was short.
	Cohorts []Cohort
	Carry   float64
	// Unseen is the estimated number of further jobs queued at job servers that don't answer.
	Unseen int64
	// Skew is by how much the longest of the job servers' queues exceeds their mean (1 to 2).
	Skew float64
	// Stuck is how many queued jobs were not assigned to free slots, Idled the least queue since
	// there have been free slots.
	Stuck, Idled int64
	// Failures is how many jobs have failed since the last completed one, LastEnded when that
	// completed.
	Failures  int64
	LastEnded float64
}

// NewState is the state of a pool that this process sees for the first time. The pool is not scaled
// down until a full window has been seen.
func NewState(learnt Learnt, now time.Time) State {
	s := State{Epoch: now, HoldWhy: HoldStart, HoldUntil: -1, QuietSince: -1, IdleFactor: 1, EmptiedAt: -1}
	s.Boot.Median = clamp(learnt.Boot.Seconds(), 0, maxBoot)
	for _, j := range learnt.JobTimes {
		if j.Time > 0 {
			s.Saved = append(s.Saved, j)
		}
	}
	return s
}

// Learnt returns what is kept over a restart.
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

// Age is how long before now the state was created.
func (s *State) Age(now time.Time) time.Duration { return now.Sub(s.Epoch) }

// Waiting returns how many queued jobs of a function were not assigned to free slots, and the mean
// time of its jobs in seconds.
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

// Size is the memory that s takes, in bytes, without the names.
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

// function returns the function of that name, adding it if there is none; hint is its probable
// index.
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

// clamp limits x to [lo, hi]; NaN becomes lo.
func clamp(x, lo, hi float64) float64 {
	if !(x >= lo) {
		return lo
	}
	return min(x, hi)
}
