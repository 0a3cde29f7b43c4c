package autoscaler

import (
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/workload"
)

const (
	// maxEdits is how many edits of a Deployment by somebody else are put back within
	// ContestWindow. Each may roll pods.
	maxEdits = 3
	// unseenFor is how long a Deployment that was created is waited for in the cache.
	unseenFor = 30 * time.Second
)

// drift is what is known of a Deployment that the cache does not show as it was last applied, or
// that somebody else has edited.
type drift struct {
	fields  string      // what the operator owned after its last apply, as a hash
	uid     string      // of the Deployment then
	made    int64       // the generation that the apply made; what the cache shows of an earlier one says nothing
	edits   []time.Time // when edits were put back
	created time.Time   // when the Deployment was created, until the cache has shown it
}

// Applied is what the API server answered to an apply of a Deployment's template.
type Applied struct {
	UID        string
	Generation int64
	Fields     string // hash of what the operator owns now
}

// Unseen reports whether the cache has yet to show the Deployment that was created for the pool.
// Creating it again would take its replicas from it.
func (p *Pool) Unseen(w *workload.State, now time.Time) bool {
	d := p.drift
	if d == nil || d.created.IsZero() {
		return false
	}
	if w.Exists || now.Sub(d.created) > unseenFor {
		d.created = time.Time{}
	}
	return !d.created.IsZero()
}

// Drifted reports whether somebody else has changed a field that the operator owns since it applied
// the template, even while no operator ran: what it owned then is noted on the Deployment itself.
func (p *Pool) Drifted(w *workload.State) bool {
	d := p.drift
	if w.LiveFields == w.AppliedFields {
		if d != nil && d.fields == w.LiveFields && len(d.edits) == 0 {
			p.drift = nil
		}
		return false
	}
	if d != nil && d.uid == w.UID && w.Generation < d.made {
		return false
	}
	return d == nil || d.fields != w.LiveFields
}

// EditsContested reports whether so many edits have been put back lately that the next is left: a
// controller or a GitOps tool insists, and each turn rolls pods.
func (p *Pool) EditsContested(now time.Time) bool {
	d := p.drift
	if d == nil {
		return false
	}
	d.edits = slices.DeleteFunc(d.edits, func(t time.Time) bool { return now.Sub(t) > ContestWindow })
	return len(d.edits) >= maxEdits
}

// WroteTemplate remembers what an apply left the operator owning until the cache shows it: the note
// on the Deployment may have been written in a second step, and the state in between is no drift.
// created says that the Deployment was created, restored that an edit was put back.
func (p *Pool) WroteTemplate(a Applied, created, restored bool, now time.Time) {
	if p.drift == nil {
		p.drift = &drift{}
	}
	d := p.drift
	d.fields, d.uid, d.made = a.Fields, a.UID, a.Generation
	if created {
		d.created = now
	}
	if restored {
		d.edits = append(d.edits, now)
	}
}
