package autoscaler

import (
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// ContestWindow is the time in which the second change of replicas by another writer, or the fourth
// edit of a Deployment, stops the operator from forcing its own.
const ContestWindow = 10 * time.Minute

// scaleRecord is what the operator wrote of a workload's replicas, to detect changes by other
// writers.
type scaleRecord struct {
	uid        string // of the Deployment
	mode       v1alpha1.ScalingMode
	written    int32
	generation int64   // the generation after the write; the cache may still be behind
	intents    []int32 // what was written since then without an answer: it may have arrived
	// shown is what was written without an answer before that, and that value: the cache may show
	// one after the other.
	shown   []int32
	foreign []time.Time // when another writer changed replicas
}

// maxIntents bounds the recorded writes without an answer.
const maxIntents = 8

// PresentReplicas is how many replicas the workload has. While the cache does not show the last
// write, that write counts: using the stale cached value would undo our own last write.
func (p *Pool) PresentReplicas(w *workload.State) int32 {
	if p.cacheBehind(w) {
		return p.scale.written
	}
	return w.Replicas
}

// cacheBehind reports whether the cache does not show the last written replicas yet.
func (p *Pool) cacheBehind(w *workload.State) bool {
	return p.scale != nil && p.scale.uid == w.UID && w.Generation < p.scale.generation
}

// ObserveReplicas records the replicas that a reconcile found and reports whether they are
// contested: changed by another writer twice within ContestWindow, while the mode lets the operator
// set them. Late writes of the previous leader are no contest.
func (p *Pool) ObserveReplicas(w *workload.State, mode v1alpha1.ScalingMode, now time.Time) (contested bool) {
	m := p.scale
	if m == nil || m.uid != w.UID {
		p.scale = &scaleRecord{uid: w.UID, mode: mode, written: w.Replicas}
		return false
	}
	if mode != m.mode {
		m.mode, m.foreign = mode, nil
	}
	if w.Generation >= m.generation {
		sets := mode == v1alpha1.ModeAuto || mode == v1alpha1.ModeManual
		if own := m.observe(w.Replicas) || w.OwnReplicas; sets && !own {
			m.foreign = append(m.foreign, now)
		}
	}
	m.foreign = slices.DeleteFunc(m.foreign, func(t time.Time) bool { return now.Sub(t) > ContestWindow })
	return len(m.foreign) >= 2
}

// observe records the replicas that the cache shows, and reports whether the operator wrote them.
func (m *scaleRecord) observe(replicas int32) (own bool) {
	if replicas == m.written {
		m.shown = nil
		return true
	}
	m.written = replicas
	if at := slices.Index(m.shown, replicas); at >= 0 {
		m.shown = m.shown[at+1:]
		return true
	}
	at := slices.Index(m.intents, replicas)
	m.shown, m.intents = nil, m.intents[at+1:] // later writes may still appear
	return at >= 0
}

// WillWriteReplicas records what is about to be written. If its answer is lost, it may have arrived
// nevertheless, and is then no change by another writer.
func (p *Pool) WillWriteReplicas(replicas int32) {
	if m := p.scale; m != nil && !slices.Contains(m.intents, replicas) {
		m.intents = append(m.intents[max(0, len(m.intents)-maxIntents+1):], replicas)
	}
}

// WroteReplicas records the replicas in the API server's answer to a write, and the generation
// after it.
func (p *Pool) WroteReplicas(replicas int32, generation int64) {
	m := p.scale
	if m == nil {
		return
	}
	m.shown = nil
	if len(m.intents) > 1 {
		m.shown = append(m.intents, replicas)
	}
	m.written, m.generation, m.intents = replicas, generation, nil
}
