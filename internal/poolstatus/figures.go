package poolstatus

import (
	"math"
	"time"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// FiguresEvery is how often the figures of a pool's status may be written if nothing else has
// changed.
const FiguresEvery = time.Minute

// Figures are the numbers of a status that change all the time. Others (terms, waits) are written
// together with them.
type Figures struct {
	Queued, Running int64
	Boot            int64 // ms
	Jobs            int64 // ms, summed over the functions
	Ended, Failed   int64 // jobs of the last hour
	Late            int64 // jobs of the last hour that started late
	Retried         int64 // jobs of the last hour that failed and were retried
}

// FiguresOf returns the figures of a view.
func FiguresOf(v *View) Figures {
	f := Figures{
		Queued: v.Queued, Running: v.Running, Boot: v.Learnt.Boot.Milliseconds(), Ended: v.LastHour.Completed,
		Failed: v.LastHour.AllFailed(), Retried: v.LastHour.Retried,
	}
	if v.Starts != nil {
		f.Late = int64(math.Round(v.Starts.LastHour.Late))
	}
	for _, jt := range v.Learnt.JobTimes {
		f.Jobs += jt.Time.Milliseconds()
	}
	return f
}

// FiguresIn returns the figures of a status.
func FiguresIn(s *v1alpha1.GearmanWorkerPoolStatus) Figures {
	f := Figures{Queued: s.Queue.Queued, Running: s.Queue.Running}
	if s.LastHour != nil {
		f.Ended, f.Failed, f.Late = s.LastHour.Completed, s.LastHour.Failed, s.LastHour.Late
		f.Retried = s.LastHour.Retried
	}
	if s.Measured != nil {
		f.Boot = s.Measured.BootMilliseconds
		for _, l := range s.Measured.Functions {
			f.Jobs += l.JobMilliseconds
		}
	}
	return f
}

// Moved reports whether any figure has changed enough to be written.
func (f Figures) Moved(to Figures) bool {
	return moved(f.Queued, to.Queued) || moved(f.Running, to.Running) || moved(f.Boot, to.Boot) ||
		moved(f.Jobs, to.Jobs) ||
		moved(f.Ended, to.Ended) || moved(f.Failed, to.Failed) || moved(f.Late, to.Late) || moved(f.Retried, to.Retried)
}

// moved reports a change of more than a tenth, or from or to zero.
func moved(from, to int64) bool {
	if (from == 0) != (to == 0) {
		return true
	}
	return 10*max(from-to, to-from) > max(from, to)
}
