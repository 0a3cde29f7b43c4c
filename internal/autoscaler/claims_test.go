package autoscaler

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// A pool with many job servers and functions costs a bounded number of claims, and still finds a
// pool that has the same.
func TestClaimsAreBounded(t *testing.T) {
	t.Parallel()
	x := claimIndex{}
	var servers, functions []string
	for i := range 64 {
		servers, functions = append(servers, fmt.Sprintf("server-%d", i)), append(
			functions, fmt.Sprintf("function-%d", i),
		)
	}
	a, b := &Pool{}, &Pool{}
	nameA, nameB := types.NamespacedName{Namespace: "ns", Name: "a"}, types.NamespacedName{Namespace: "ns", Name: "b"}
	x.set(nameA, a, servers, functions)
	if len(x) != maxClaims || len(a.claims) != maxClaims {
		t.Errorf("%d claims in the index and %d of the pool, want %d", len(x), len(a.claims), maxClaims)
	}
	if changed := x.set(nameA, a, servers, functions); len(changed) != 0 {
		t.Errorf("the same claims change %v", changed)
	}
	x.set(nameB, b, servers[:1], functions[63:])
	if names, elsewhere := x.sharing(nameA, a); len(names) != 1 || names[0] != "b" || elsewhere {
		t.Errorf("shares with %v, elsewhere %v", names, elsewhere)
	}
	x.set(nameA, a, nil, nil)
	x.set(nameB, b, nil, nil)
	if len(x) != 0 {
		t.Errorf("%d claims are left", len(x))
	}
}
