package autoscaler

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
)

func TestShares(t *testing.T) {
	t.Parallel()
	a, b, c := types.NamespacedName{Namespace: "x", Name: "a"}, types.NamespacedName{Namespace: "x", Name: "b"}, types.NamespacedName{Namespace: "y", Name: "c"}
	r := newRegistry()
	check := func(step string, key types.NamespacedName, servers, functions []string, wantWith, wantChanged []types.NamespacedName) {
		t.Helper()
		with, changed := r.share(key, servers, functions)
		if diff := cmp.Diff(wantWith, with); diff != "" {
			t.Errorf("%s: shares with: %s", step, diff)
		}
		if diff := cmp.Diff(wantChanged, changed); diff != "" {
			t.Errorf("%s: changed: %s", step, diff)
		}
	}
	type keys = []types.NamespacedName
	check("first", a, []string{"h:1", "h:2"}, []string{"f", "g"}, nil, nil)
	check("another server", b, []string{"h:3"}, []string{"f"}, nil, nil)
	check("the same function there", b, []string{"h:2"}, []string{"f"}, keys{a}, keys{a})
	check("again", b, []string{"h:2"}, []string{"f"}, keys{a}, nil)
	check("a third", c, []string{"h:2"}, []string{"f"}, keys{a, b}, keys{a, b}[:2:2])
	if diff := cmp.Diff([]string{"b", "pools of other namespaces"}, poolstatus.SharedNames(a, keys{b, c})); diff != "" {
		t.Error(diff)
	}
	with, changed := r.share(c, nil, nil)
	if len(with) != 0 || len(changed) != 2 {
		t.Errorf("gone: shares with %v, changed %v; want none and two", with, changed)
	}
	r.remove(a)
	r.remove(b)
	if len(r.claims) != 0 {
		t.Errorf("%d claims are left after all are gone", len(r.claims))
	}
}
