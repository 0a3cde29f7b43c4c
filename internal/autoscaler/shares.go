package autoscaler

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
)

// claim is a function on a job server.
type claim struct{ server, function string }

// reported is how many of the pools that share a function one of them needs to know: the first ten
// are named, and one more says that there are others.
const reported = 11

// claimIndex finds the pools that serve a function on a job server, to report those that see one
// backlog together. Each pool's own claims are in its record. Whatever the number of pools that
// share a function, each costs the same: it knows only the first of the others.
type claimIndex map[claim]sharers

// sharers is the names of the pools that share something, sorted, by namespace.
type sharers map[string][]string

// set notes what a pool serves: nothing, for a pool that is gone. It returns the pools for which
// those that they share a function with may have changed.
func (x claimIndex) set(key types.NamespacedName, p *Pool, servers, functions []string) (changed []types.NamespacedName) {
	if len(functions) > 0 && sameClaims(p.claims, servers, functions) {
		return nil
	}
	affected := sets.Set[types.NamespacedName]{}
	for _, c := range p.claims {
		x.remove(c, key, affected)
	}
	p.claims = nil
	for _, server := range servers {
		for _, f := range functions {
			c := claim{server, f}
			p.claims = append(p.claims, c)
			x.add(c, key, affected)
		}
	}
	affected.Delete(key)
	return slices.SortedFunc(maps.Keys(affected), byName)
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

func (x claimIndex) add(c claim, key types.NamespacedName, affected sets.Set[types.NamespacedName]) {
	s := x[c]
	if s == nil {
		s = sharers{}
		x[c] = s
	}
	names := s[key.Namespace]
	i, found := slices.BinarySearch(names, key.Name)
	if found {
		return // a server may be named twice
	}
	if len(names) == 0 {
		s.onlyOne(affected) // it learns of another namespace
	}
	s[key.Namespace] = slices.Insert(names, i, key.Name)
	s.shifted(key.Namespace, i, affected)
}

func (x claimIndex) remove(c claim, key types.NamespacedName, affected sets.Set[types.NamespacedName]) {
	s := x[c]
	names := s[key.Namespace]
	i, found := slices.BinarySearch(names, key.Name)
	if !found {
		return
	}
	s.shifted(key.Namespace, i, affected)
	if s[key.Namespace] = slices.Delete(names, i, i+1); len(s[key.Namespace]) > 0 {
		return
	}
	if delete(s, key.Namespace); len(s) == 0 {
		delete(x, c)
	}
	s.onlyOne(affected) // there is no other namespace any more
}

// shifted adds the pools of a namespace for which a name at place i counts.
func (s sharers) shifted(namespace string, i int, affected sets.Set[types.NamespacedName]) {
	if i > reported {
		return
	}
	for _, name := range s[namespace] {
		affected.Insert(types.NamespacedName{Namespace: namespace, Name: name})
	}
}

// onlyOne adds the pools of the only namespace, if there is one.
func (s sharers) onlyOne(affected sets.Set[types.NamespacedName]) {
	if len(s) != 1 {
		return
	}
	for namespace := range s {
		s.shifted(namespace, 0, affected)
	}
}

// sharing names the other pools that serve what a pool serves: the first ones of its own namespace,
// and whether there are any elsewhere.
func (x claimIndex) sharing(key types.NamespacedName, p *Pool) (names []string, elsewhere bool) {
	for _, c := range p.claims {
		s := x[c]
		own := s[key.Namespace]
		for i, n := 0, 0; i < len(own) && n < reported; i++ {
			if own[i] != key.Name {
				names = append(names, own[i])
				n++
			}
		}
		elsewhere = elsewhere || len(s) > 1
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return names[:min(len(names), reported)], elsewhere
}

func byName(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
