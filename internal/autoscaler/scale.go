package autoscaler

import (
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// ContestWindow is the time in which the second change of replicas by somebody else, or the fourth edit of a Deployment, stops the operator from forcing
// its own.
const ContestWindow = 10 * time.Minute

// scaleMemory is what the operator wrote of a workload's replicas, to notice when somebody else changes them.
type scaleMemory struct {
	uid     string // of the Deployment
	written int32
	made    int64       // the generation that writing it made; the cache may still be behind
	foreign []time.Time // when somebody else changed replicas
}

// PresentReplicas is how many replicas the workload has. While the cache does not show what was last written, that counts: using the stale cached value would undo
// our own last write.
func (p *Pool) PresentReplicas(w *workload.State) int32 {
	if p.cacheBehind(w) {
		return p.scale.written
	}
	return w.Replicas
}

// cacheBehind reports whether the cache does not show the last written replicas yet.
func (p *Pool) cacheBehind(w *workload.State) bool {
	return p.scale != nil && p.scale.uid == w.UID && w.Generation < p.scale.made
}

// ObserveReplicas notes the replicas that a reconcile found and reports whether they are contested: changed by somebody else twice within ContestWindow.
func (p *Pool) ObserveReplicas(w *workload.State, now time.Time) (contested bool) {
	m := p.scale
	if m == nil || m.uid != w.UID {
		p.scale = &scaleMemory{uid: w.UID, written: w.Replicas}
		return false
	}
	if w.Replicas != m.written && w.Generation >= m.made {
		m.foreign = append(m.foreign, now)
		m.written = w.Replicas
	}
	m.foreign = slices.DeleteFunc(m.foreign, func(t time.Time) bool { return now.Sub(t) > ContestWindow })
	return len(m.foreign) >= 2
}

// WroteReplicas notes that replicas were written, and the generation that this made.
func (p *Pool) WroteReplicas(replicas int32, generation int64) {
	if p.scale != nil {
		p.scale.written, p.scale.made = replicas, generation
	}
}
