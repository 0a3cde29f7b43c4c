package sim

import (
	"net/netip"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/outcome"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// waits is the operator's own estimate of late jobs in a run, across restarts of the operator.
type waits struct {
	now      outcome.Waits
	before   outcome.Started // by earlier operator processes
	oldest   time.Duration   // the age that a restarted operator reads from the status
	status   time.Duration   // the same as currently in the status
	wrote    float64         // when that was written, with these
	replicas int32
	reason   scaling.Reason
	in       []outcome.FunctionQueues

	first, ended, lost int64 // jobs that ended, by telemetry: before this operator, now, while there was none
}

// statusEvery is how often figures of the status are written if nothing else has changed, in
// seconds.
const statusEvery = 60

// Estimate returns what the operator counted of the run's jobs, if Measure is set.
func (o *Ours) Estimate() outcome.Started { return o.waits.before.Add(o.waits.now.Started()) }

// Counted returns how many jobs ended, as counted by telemetry, while an operator was watching, and
// how many while none was.
func (o *Ours) Counted() (ended, lost int64) { return o.waits.ended - o.waits.lost, o.waits.lost }

func (w *waits) restart() {
	w.before = w.before.Add(w.now.Started())
	w.now, w.oldest = outcome.Waits{}, w.status
	w.first = -1
}

// observe updates the estimate after a decision.
func (w *waits) observe(s *Simulator, o *Ours) {
	w.in = w.in[:0]
	ended := int64(0)
	for f, name := range s.w.Functions {
		c := &o.sample.Functions[f]
		in := outcome.FunctionQueues{
			Name: name, Ended: c.Ended + c.Failed, Busy: float64(c.Busy + c.Draining),
			Queues: make([]outcome.Queue, 0, s.w.Servers),
		}
		ended += in.Ended
		for i := range o.state.Functions {
			if g := &o.state.Functions[i]; g.Name == name {
				in.Stuck, in.JobSeconds = g.Stuck, g.Mean
			}
		}
		for k := range s.w.Servers {
			if o.answered[k] == 0 {
				continue
			}
			i := f*s.w.Servers + k
			in.Queues = append(in.Queues, outcome.Queue{
				Server: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(k + 1)}), 4730),
				AsOf:   at(o.answered[k]),
				Total:  int64(o.total[i]), Running: int64(o.running[i]),
			})
		}
		w.in = append(w.in, in)
	}
	w.now.Observe(at(s.now), o.policy.TargetWait, w.oldest, w.in)
	if w.first < 0 {
		w.first = ended
		w.lost += ended - w.ended // jobs that pods counted before the operator watched them
	}
	w.ended = ended
	if d := &o.decision; d.Replicas != w.replicas || d.Reason != w.reason || s.now-w.wrote >= statusEvery {
		w.status, w.wrote, w.replicas, w.reason = d.OldestWait, s.now, d.Replicas, d.Reason
	}
}
