package autoscaler

import (
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/workload"
)

const (
	// maxEdits is how many edits of a Deployment by another writer are reverted within
	// ContestWindow. Each may roll pods.
	maxEdits = 3
	// unseenFor is how long to wait for a created Deployment to appear in the cache.
	unseenFor = 30 * time.Second
)

// drift is the state of a Deployment that differs in the cache from what was last applied, or that
// another writer has edited.
type drift struct {
	fields     string      // a hash of what the operator owned after its last apply
	uid        string      // of the Deployment then
	generation int64       // the generation after the apply; the cache may still show an earlier one
	edits      []time.Time // when edits were reverted
	created    time.Time   // when the Deployment was created, until the cache has shown it
}

// Applied is the API server's answer to an apply of a Deployment's template.
type Applied struct {
	UID        string
	Generation int64
	Fields     string // hash of what the operator owns now
}

// Unseen reports whether the cache does not show the pool's created Deployment yet. Creating it
// again would reset its replicas.
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

// Drifted reports whether another writer has changed a field that the operator owns since it
// applied the template, even while no operator ran: what it owned then is recorded on the
// Deployment itself.
func (p *Pool) Drifted(w *workload.State) bool {
	d := p.drift
	if w.LiveFields == w.AppliedFields {
		if d != nil && d.fields == w.LiveFields && len(d.edits) == 0 {
			p.drift = nil
		}
		return false
	}
	if d != nil && d.uid == w.UID && w.Generation < d.generation {
		return false
	}
	return d == nil || d.fields != w.LiveFields
}

// EditsContested reports whether so many edits were reverted recently that the next one is left: a
// controller or a GitOps tool repeats it, and each revert rolls pods.
func (p *Pool) EditsContested(now time.Time) bool {
	d := p.drift
	if d == nil {
		return false
	}
	d.edits = slices.DeleteFunc(d.edits, func(t time.Time) bool { return now.Sub(t) > ContestWindow })
	return len(d.edits) >= maxEdits
}

// WroteTemplate records what the operator owns after an apply until the cache shows it: the
// annotation on the Deployment may have been written in a second step, and the state in between is
// no drift. created means that the Deployment was created, restored that an edit was reverted.
func (p *Pool) WroteTemplate(a Applied, created, restored bool, now time.Time) {
	if p.drift == nil {
		p.drift = &drift{}
	}
	d := p.drift
	d.fields, d.uid, d.generation = a.Fields, a.UID, a.Generation
	if created {
		d.created = now
	}
	if restored {
		d.edits = append(d.edits, now)
	}
}
