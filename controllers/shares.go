package controllers

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// claim is a function on a job server.
type claim struct{ server, function string }

// shares knows which pools serve which functions where, to tell those that see one backlog together.
type shares struct {
	mu     sync.Mutex
	claims map[types.NamespacedName][]claim
	pools  map[claim][]types.NamespacedName // few share one
}

func newShares() *shares {
	return &shares{claims: map[types.NamespacedName][]claim{}, pools: map[claim][]types.NamespacedName{}}
}

// set says what a pool serves; nothing, for a pool that is gone. It returns the pools that it now shares a function with, and those for which
// that has changed.
func (s *shares) set(key types.NamespacedName, servers, functions []string) (with, changed []types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(functions) > 0 && s.same(key, servers, functions) {
		return slices.SortedFunc(maps.Keys(s.sharing(key)), byName), nil
	}
	before := s.sharing(key)
	for _, c := range s.claims[key] {
		s.pools[c] = slices.DeleteFunc(s.pools[c], func(k types.NamespacedName) bool { return k == key })
		if len(s.pools[c]) == 0 {
			delete(s.pools, c)
		}
	}
	delete(s.claims, key)
	claims := make([]claim, 0, len(servers)*len(functions))
	for _, server := range servers {
		for _, f := range functions {
			c := claim{server, f}
			claims = append(claims, c)
			if !slices.Contains(s.pools[c], key) { // a server may be named twice
				s.pools[c] = append(s.pools[c], key)
			}
		}
	}
	if len(claims) > 0 {
		s.claims[key] = claims
	}
	after := s.sharing(key)
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

// same reports whether a pool serves what it served before.
func (s *shares) same(key types.NamespacedName, servers, functions []string) bool {
	claims := s.claims[key]
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

func (s *shares) sharing(key types.NamespacedName) map[types.NamespacedName]struct{} {
	out := map[types.NamespacedName]struct{}{}
	for _, c := range s.claims[key] {
		for _, k := range s.pools[c] {
			if k != key {
				out[k] = struct{}{}
			}
		}
	}
	return out
}

// size counts the functions on job servers that pools serve.
func (s *shares) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pools)
}

func byName(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// sharedNames names the pools that a pool shares with, as far as its namespace may know.
func sharedNames(key types.NamespacedName, with []types.NamespacedName) []string {
	var names []string
	elsewhere := false
	for _, k := range with {
		if k.Namespace == key.Namespace {
			names = append(names, k.Name)
		} else {
			elsewhere = true
		}
	}
	if elsewhere {
		names = append(names, "pools of other namespaces")
	}
	return names
}
