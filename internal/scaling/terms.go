package scaling

import (
	"fmt"
	"math"
	"time"
)

// Terms are the numbers behind a decision. Times are in seconds; a slot is one job that a pod can
// run at a time. A term is a field here and an entry of [TermTable], from which a pool's status,
// the page and "kubectl gearman explain" are made.
type Terms struct {
	Queued     float64 // jobs that are queued and can be given to a worker
	Stuck      float64 // queued jobs that were not assigned to free slots
	Running    float64 // jobs that run in the pool's own pods
	Foreign    float64 // jobs that other workers run
	Slots      float64 // slots of ready pods
	Starting   float64 // slots of pods that are not ready yet
	Free       float64 // idle slots of ready pods
	Missing    float64 // slots that are missing to start the queue in time
	Load       float64 // slots that the arriving work keeps busy
	Keep       float64 // slots kept for the load
	Idle       float64 // least idle slots over the idle window
	JobSeconds float64 // measured time of a job
	Boot       float64 // measured time from a pod's creation to its registration
	OldestWait float64 // estimated age of the oldest queued job
	Target     float64 // the target wait
}

// Term describes one of the [Terms].
type Term struct {
	Key     string // its name in a pool's status, which includes the unit
	Meaning string // what follows the number in a sentence
	unit    unit
	of      func(*Terms) float64
}

// unit is how a term is written as a whole number, since an API has no fractions.
type unit int

const (
	whole unit = iota
	thousandths
	milliseconds
)

// TermTable describes the terms in the order in which the law uses them.
var TermTable = []Term{
	{"queued", "jobs are queued and runnable", whole, func(t *Terms) float64 { return t.Queued }},
	{"stuck", "queued jobs are given to no free worker", whole, func(t *Terms) float64 { return t.Stuck }},
	{"running", "jobs run in this pool's pods", whole, func(t *Terms) float64 { return t.Running }},
	{
		"foreign", "running jobs are not reported by this pool's pods (other workers, or late telemetry)", whole,
		func(t *Terms) float64 { return t.Foreign },
	},
	{
		"slots", "slots are in ready pods (a slot is one job that a pod can run at a time)", whole,
		func(t *Terms) float64 { return t.Slots },
	},
	{"freeSlots", "slots in ready pods are free", whole, func(t *Terms) float64 { return t.Free }},
	{"startingSlots", "slots are in starting pods", whole, func(t *Terms) float64 { return t.Starting }},
	{
		"missingMilliSlots", "more slots are needed to start the queued jobs in time", thousandths,
		func(t *Terms) float64 { return t.Missing },
	},
	{
		"loadMilliSlots", "slots are busy with the current load", thousandths,
		func(t *Terms) float64 { return t.Load },
	},
	{"keepMilliSlots", "slots are kept for that load", thousandths, func(t *Terms) float64 { return t.Keep }},
	{
		"idleMilliSlots", "slots were idle during the whole idle window", thousandths,
		func(t *Terms) float64 { return t.Idle },
	},
	{
		"jobMilliseconds", "mean job time (estimated until a job has completed)", milliseconds,
		func(t *Terms) float64 { return t.JobSeconds },
	},
	{
		"bootMilliseconds", "time from a pod's creation to its registration (estimated until a pod has started)",
		milliseconds, func(t *Terms) float64 { return t.Boot },
	},
	{
		"oldestWaitMilliseconds", "wait of the oldest queued job (estimated)", milliseconds,
		func(t *Terms) float64 { return t.OldestWait },
	},
	{"targetWaitMilliseconds", "target wait", milliseconds, func(t *Terms) float64 { return t.Target }},
}

// ByKey returns the terms as whole numbers in the units of their keys, as a pool's status has them.
func (t Terms) ByKey() map[string]int64 {
	out := make(map[string]int64, len(TermTable))
	for i := range TermTable {
		term := &TermTable[i]
		x := term.of(&t)
		if term.unit != whole {
			x = math.Round(x * 1000)
		}
		out[term.Key] = int64(x)
	}
	return out
}

// Format writes a number that [Terms.ByKey] returned, for people.
func (t *Term) Format(n int64) string {
	switch t.unit {
	case thousandths:
		return fmt.Sprintf("%.2f", float64(n)/1000)
	case milliseconds:
		return (time.Duration(n) * time.Millisecond).String()
	}
	return fmt.Sprint(n)
}
