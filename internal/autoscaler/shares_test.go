package autoscaler

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
)

func TestShares(t *testing.T) {
	t.Parallel()
	a, b, c := types.NamespacedName{
		Namespace: "x", Name: "a",
	}, types.NamespacedName{Namespace: "x", Name: "b"}, types.NamespacedName{Namespace: "y", Name: "c"}
	r := newRegistry()
	const elsewhere = "pools of other namespaces"
	check := func(
		step string, key types.NamespacedName, servers, functions, wantWith []string,
		wantChanged []types.NamespacedName,
	) {
		t.Helper()
		names, others, changed := r.share(key, servers, functions)
		if diff := cmp.Diff(wantWith, poolstatus.SharedNames(names, others)); diff != "" {
			t.Errorf("%s: shares with: %s", step, diff)
		}
		if diff := cmp.Diff(wantChanged, changed); diff != "" {
			t.Errorf("%s: changed: %s", step, diff)
		}
	}
	type keys = []types.NamespacedName
	check("first", a, []string{"h:1", "h:2"}, []string{"f", "g"}, nil, nil)
	check("another server", b, []string{"h:3"}, []string{"f"}, nil, nil)
	check("the same function there", b, []string{"h:2"}, []string{"f"}, []string{"a"}, keys{a})
	check("again", b, []string{"h:2"}, []string{"f"}, []string{"a"}, nil)
	check("a third", c, []string{"h:2"}, []string{"f"}, []string{elsewhere}, keys{a, b})
	check("what the first sees", a, []string{"h:1", "h:2"}, []string{"f", "g"}, []string{"b", elsewhere}, nil)
	check("a server named twice", b, []string{"h:2", "h:2"}, []string{"f"}, []string{"a", elsewhere}, keys{a})
	check("gone", c, nil, nil, nil, keys{a, b})
	r.remove(a)
	r.remove(b)
	if len(r.claims) != 0 {
		t.Errorf("%d claims are left after all are gone", len(r.claims))
	}
}

// TestSharesOfMany: each of many pools that share one function gets the first ten others and that
// there are more, and a pool that is added or removed affects few of them, whatever their number.
func TestSharesOfMany(t *testing.T) {
	t.Parallel()
	const n = 2000
	order := rand.New(rand.NewPCG(1, 2)).Perm(n)
	key := func(i int) types.NamespacedName {
		return types.NamespacedName{Namespace: "ns", Name: fmt.Sprintf("p%04d", i)}
	}
	r := newRegistry()
	reports := map[types.NamespacedName][]string{}
	report := func(k types.NamespacedName) {
		var names []string
		r.Do(k, func(p *Pool) { names, _ = r.claims.sharing(k, p) })
		reports[k] = names
	}
	brought := 0
	for _, i := range order {
		_, _, changed := r.share(key(i), []string{"s:1"}, []string{"f"})
		brought += len(changed)
		for _, k := range append(changed, key(i)) {
			report(k)
		}
	}
	if brought > 30*n {
		t.Errorf("%d reconciles for %d pools", brought, n)
	}
	for _, i := range order[:n/2] {
		changed := r.remove(key(i))
		delete(reports, key(i))
		brought += len(changed)
		for _, k := range changed {
			report(k)
		}
	}
	left := order[n/2:]
	slices.Sort(left)
	for place, i := range left {
		var want []string
		for other := range min(len(left), maxReported+1) {
			if other != place && len(want) < maxReported {
				want = append(want, key(left[other]).Name)
			}
		}
		if got := reports[key(i)]; !slices.Equal(got, want) {
			t.Fatalf("%v was told %v, want %v", key(i), got, want)
		}
	}
}

// TestSharesOfSeveralFunctions: the names are bounded, however many functions are shared.
func TestSharesOfSeveralFunctions(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	key := func(name string) types.NamespacedName { return types.NamespacedName{Namespace: "ns", Name: name} }
	for i := range maxReported {
		r.share(key(fmt.Sprintf("a%02d", i)), []string{"s:1"}, []string{"f"})
		r.share(key(fmt.Sprintf("b%02d", i)), []string{"s:1"}, []string{"g"})
	}
	names, _, _ := r.share(key("c"), []string{"s:1"}, []string{"f", "g"})
	if len(names) != maxReported || names[0] != "a00" {
		t.Errorf("got %v, want the first %d", names, maxReported)
	}
}
