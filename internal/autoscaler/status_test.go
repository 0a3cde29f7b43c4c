package autoscaler

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

func TestUnseenStatus(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		wrote, cached string
		unseen        bool
	}{
		"the cache is behind":         {"12", "11", true},
		"behind by a digit":           {"100", "99", true},
		"the cache shows the write":   {"12", "12", false},
		"the cache shows a later one": {"12", "13", false},
		"no version was answered":     {"", "11", false},
		"versions that have no order": {"12", "a7", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p Pool
			if p.UnseenStatus(tt.cached) != nil {
				t.Error("a status is unseen though none was written")
			}
			written := &v1alpha1.GearmanWorkerPoolStatus{Functions: "f"}
			p.WroteStatus(tt.wrote, written)
			if p.unseen.status == nil {
				t.Fatal("what was written is not remembered")
			}
			got := p.UnseenStatus(tt.cached)
			if (got != nil) != tt.unseen {
				t.Fatalf("got %v, want a status: %t", got, tt.unseen)
			}
			if got != nil && (got == written || got.Functions != "f") {
				t.Errorf("got %v, want a copy of what was written", got)
			}
			if !tt.unseen && p.unseen.status != nil {
				t.Error("a status that was seen is kept")
			}
		})
	}
}

// TestSeen: a written status is dropped once the cache has it, even if the pool is not reconciled
// for long.
func TestSeen(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	key := types.NamespacedName{Namespace: "ns", Name: "p"}
	r.Seen(key, "11") // a pool without a record
	if len(r.pools) != 0 {
		t.Fatal("a pool that is only seen got a record")
	}
	kept := func() (kept bool) {
		r.Do(key, func(p *Pool) { kept = p.unseen.status != nil })
		return kept
	}
	r.Do(key, func(p *Pool) { p.WroteStatus("12", &v1alpha1.GearmanWorkerPoolStatus{}) })
	if r.Seen(key, "11"); !kept() {
		t.Error("the status is forgotten before the cache shows it")
	}
	if r.Seen(key, "12"); kept() {
		t.Error("the status is kept though the cache shows it")
	}
}
