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

// maxReported is how many of the pools that share a function one of them needs to know: the first
// ten are named, and one more shows that there are others.
const maxReported = 11

// maxClaims is how many claims are recorded of a pool: all of its functions, on the first of its
// job servers. Pools that share functions name the same job servers.
const maxClaims = 64

// claimIndex finds the pools that serve a function on a job server, to report those that share a
// backlog. Each pool's own claims are in its record. Each pool costs the same, however many share a
// function: it knows only the first of the others.
type claimIndex map[claim]sharers

// sharers are the pools that share something, sorted by namespace and name.
type sharers []types.NamespacedName

// set records which functions a pool serves: none, for a deleted pool. It returns the pools whose
// list of sharing pools may have changed.
func (x claimIndex) set(
	key types.NamespacedName, p *Pool, servers, functions []string,
) (changed []types.NamespacedName) {
	if n := len(functions); n > 0 {
		servers = servers[:min(len(servers), max(1, maxClaims/n))]
	}
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
	i, found := slices.BinarySearchFunc(s, key, byName)
	if found {
		return // a server may be named twice
	}
	if len(s.of(key.Namespace)) == 0 {
		s.addOnlyNamespace(affected) // it now shares with another namespace
	}
	s = slices.Insert(s, i, key)
	x[c] = s
	s.addShifted(key, affected)
}

func (x claimIndex) remove(c claim, key types.NamespacedName, affected sets.Set[types.NamespacedName]) {
	s := x[c]
	i, found := slices.BinarySearchFunc(s, key, byName)
	if !found {
		return
	}
	s.addShifted(key, affected)
	s = slices.Delete(s, i, i+1)
	if x[c] = s; len(s) == 0 {
		delete(x, c)
	}
	if len(s.of(key.Namespace)) == 0 {
		s.addOnlyNamespace(affected) // there is no other namespace any more
	}
}

// of returns the pools of a namespace.
func (s sharers) of(namespace string) sharers {
	byNamespace := func(k types.NamespacedName, namespace string) int { return cmp.Compare(k.Namespace, namespace) }
	first, found := slices.BinarySearchFunc(s, namespace, byNamespace)
	if !found {
		return nil
	}
	after, _ := slices.BinarySearchFunc(s[first:], namespace, func(k types.NamespacedName, namespace string) int {
		return cmp.Or(byNamespace(k, namespace), -1)
	})
	return s[first : first+after]
}

// addShifted adds the pools of the key's namespace if the key's index among them is reported.
func (s sharers) addShifted(key types.NamespacedName, affected sets.Set[types.NamespacedName]) {
	own := s.of(key.Namespace)
	if i, _ := slices.BinarySearchFunc(own, key, byName); i <= maxReported {
		affected.Insert(own...)
	}
}

// addOnlyNamespace adds all pools if they are in one namespace.
func (s sharers) addOnlyNamespace(affected sets.Set[types.NamespacedName]) {
	if len(s) > 0 && s[0].Namespace == s[len(s)-1].Namespace {
		affected.Insert(s...)
	}
}

// sharing returns the other pools that serve what a pool serves: the first ones of its own
// namespace, and whether there are any in another.
func (x claimIndex) sharing(key types.NamespacedName, p *Pool) (names []string, elsewhere bool) {
	for _, c := range p.claims {
		s := x[c]
		own := s.of(key.Namespace)
		for i, n := 0, 0; i < len(own) && n < maxReported; i++ {
			if own[i] != key {
				names = append(names, own[i].Name)
				n++
			}
		}
		elsewhere = elsewhere || len(s) > len(own)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return names[:min(len(names), maxReported)], elsewhere
}

func byName(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
