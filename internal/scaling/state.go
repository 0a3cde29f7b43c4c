package scaling

import (
	"time"
)

// JobTime is the learnt mean time of a function's jobs.
type JobTime struct {
	Function string
	Time     time.Duration
}

// Learnt is what is worth keeping over a restart of the operator: it is written to the pool's status and handed to NewState.
type Learnt struct {
	// Boot is the median time from a pod's creation to its registration; 0 where none was seen.
	Boot time.Duration
	// JobTimes of the functions where at least one job has ended well, in the order of the samples.
	JobTimes []JobTime
}

// State is what the law remembers of a pool. Its fields are exported so that a decision can be recorded and replayed (encoding/json takes it); only this
// package gives them meaning. Times in it are seconds since Epoch.
type State struct {
	Epoch time.Time
}

// NewState is the state of a pool that this process sees for the first time. Nothing shrinks until a full window has been seen.
func NewState(learnt Learnt, now time.Time) State {
	return State{Epoch: now}
}

// Learnt returns what is worth keeping over a restart.
func (s *State) Learnt() Learnt {
	return Learnt{}
}

// Clone returns a copy that shares no memory with s.
func (s *State) Clone() State {
	return *s
}
