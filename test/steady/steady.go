// Package steady watches a pool while a test makes noise, and checks that its status stayed calm.
// Its goroutine ends with its context.
package steady

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// Record is what was seen of a pool's status.
type Record struct {
	mu       sync.Mutex
	writes   int
	scalings int
	last     *v1alpha1.GearmanWorkerPool
	changes  map[string][]string // by condition: its new values
	done     chan struct{}
}

// mayMove are the conditions that report the scaling itself, and how fast pods start on this
// machine.
var mayMove = map[string]bool{v1alpha1.ConditionScalingLimited: true, v1alpha1.ConditionTargetBelowStartTime: true}

// Watch records each change of the pool from now on, until ctx ends.
func Watch(ctx context.Context, t *testing.T, c client.WithWatch, pool *v1alpha1.GearmanWorkerPool) *Record {
	t.Helper()
	w, err := c.Watch(ctx, &v1alpha1.GearmanWorkerPoolList{}, client.InNamespace(pool.Namespace),
		client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", pool.Name)})
	if err != nil {
		t.Fatal(err)
	}
	r := &Record{changes: map[string][]string{}, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer w.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case e, ok := <-w.ResultChan():
				if !ok {
					return
				}
				if p, ok := e.Object.(*v1alpha1.GearmanWorkerPool); ok {
					r.saw(p)
				}
			}
		}
	}()
	return r
}

func (r *Record) saw(p *v1alpha1.GearmanWorkerPool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.last
	r.last = p
	if last == nil || last.ResourceVersion == p.ResourceVersion {
		return
	}
	r.writes++
	if !p.Status.LastScaleTime.Equal(last.Status.LastScaleTime) ||
		p.Status.DesiredReplicas != last.Status.DesiredReplicas {
		r.scalings++
	}
	before := map[string]metav1.Condition{}
	for _, c := range last.Status.Conditions {
		before[c.Type] = c
	}
	for _, c := range p.Status.Conditions {
		if b := before[c.Type]; b.Status != c.Status || b.Reason != c.Reason {
			r.changes[c.Type] = append(r.changes[c.Type], string(c.Status)+" "+c.Reason)
		}
	}
}

// Scalings returns how often the pool's wanted replicas changed.
func (r *Record) Scalings() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.scalings
}

// Check fails unless the status was calm. Call it after the context of Watch has ended.
func (r *Record) Check(t *testing.T, lasted time.Duration) {
	t.Helper()
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.scalings < 3 {
		t.Errorf("the pool was scaled %d times only: that was no noise", r.scalings)
	}
	for kind, became := range r.changes {
		if !mayMove[kind] {
			t.Errorf("condition %s flapped: %v", kind, became)
		}
	}
	// Each change of replicas is reported, and then how the pods follow. Beyond that, figures are
	// written at most once a minute, and the reason of the decision when it changes.
	if most := 8*r.scalings + int(lasted.Minutes()) + 10; r.writes > most {
		t.Errorf(
			"the status was written %d times in %v, with %d changes of replicas; want %d at most", r.writes, lasted,
			r.scalings, most,
		)
	}
}

func (r *Record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%d status writes, %d changes of replicas", r.writes, r.scalings)
	for _, kind := range slices.Sorted(maps.Keys(r.changes)) {
		fmt.Fprintf(&b, ", %s changed %d times", kind, len(r.changes[kind]))
	}
	return b.String()
}
