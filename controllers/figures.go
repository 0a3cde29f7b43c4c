package controllers

import (
	"time"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// figuresEvery is how often the figures of a pool's status may be written where nothing else has changed.
const figuresEvery = time.Minute

// figures are those numbers of a status that move all the time. The others (terms, waits) are written along with them.
type figures struct {
	queued, running int64
	boot            int64 // ms
	jobs            int64 // ms, summed over the functions
}

func figuresOf(v view) figures {
	f := figures{queued: v.queued, running: v.running, boot: v.learnt.Boot.Milliseconds()}
	for _, jt := range v.learnt.JobTimes {
		f.jobs += jt.Time.Milliseconds()
	}
	return f
}

func figuresIn(s *v1alpha1.GearmanWorkerPoolStatus) figures {
	f := figures{queued: s.Queue.Queued, running: s.Queue.Running}
	if s.Learnt != nil {
		f.boot = s.Learnt.BootMilliseconds
		for _, l := range s.Learnt.Functions {
			f.jobs += l.JobMilliseconds
		}
	}
	return f
}

// moved reports whether any figure has moved enough to be written.
func (f figures) moved(to figures) bool {
	return moved(f.queued, to.queued) || moved(f.running, to.running) || moved(f.boot, to.boot) || moved(f.jobs, to.jobs)
}

// moved reports a change of more than a tenth, or from or to zero.
func moved(from, to int64) bool {
	if (from == 0) != (to == 0) {
		return true
	}
	return 10*max(from-to, to-from) > max(from, to)
}
