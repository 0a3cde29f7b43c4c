package autoscaler

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// claim is a function on a job server.
type claim struct{ server, function string }

// claimIndex finds the pools that serve a function on a job server, to report those that see one backlog together. Few share one. Each pool's own
// claims are in its record. A field index of the cache would list all pools that share a function at each reconcile of one of them.
type claimIndex map[claim][]types.NamespacedName

// set notes what a pool serves: nothing, for a pool that is gone. It returns the pools that it now shares a function with, and those for which
// that has changed.
func (x claimIndex) set(key types.NamespacedName, p *Pool, servers, functions []string) (with, changed []types.NamespacedName) {
	if len(functions) > 0 && sameClaims(p.claims, servers, functions) {
		return slices.SortedFunc(maps.Keys(x.sharing(key, p)), byName), nil
	}
	before := x.sharing(key, p)
	for _, c := range p.claims {
		x[c] = slices.DeleteFunc(x[c], func(k types.NamespacedName) bool { return k == key })
		if len(x[c]) == 0 {
			delete(x, c)
		}
	}
	p.claims = nil
	for _, server := range servers {
		for _, f := range functions {
			c := claim{server, f}
			p.claims = append(p.claims, c)
			if !slices.Contains(x[c], key) { // a server may be named twice
				x[c] = append(x[c], key)
			}
		}
	}
	after := x.sharing(key, p)
	for k := range before {
		if _, ok := after[k]; !ok {
			changed = append(changed, k)
		}
	}
	for k := range after {
		if _, ok := before[k]; !ok {
			changed = append(changed, k)
		}
	}
	slices.SortFunc(changed, byName)
	return slices.SortedFunc(maps.Keys(after), byName), changed
}

// sameClaims reports whether the claims are those of the servers and functions.
func sameClaims(claims []claim, servers, functions []string) bool {
	if len(claims) != len(servers)*len(functions) {
		return false
	}
	for i, c := range claims {
		if c.server != servers[i/len(functions)] || c.function != functions[i%len(functions)] {
			return false
		}
	}
	return true
}

type keySet = map[types.NamespacedName]struct{}

// sharing is the other pools that serve what a pool serves.
func (x claimIndex) sharing(key types.NamespacedName, p *Pool) keySet {
	out := keySet{}
	for _, c := range p.claims {
		for _, k := range x[c] {
			if k != key {
				out[k] = struct{}{}
			}
		}
	}
	return out
}

func byName(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
