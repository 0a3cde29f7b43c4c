package controllers

import "k8s.io/apimachinery/pkg/types"

// line is pools that wait to be decided on, each once; the zero value is empty. Those that were put first go before all others.
type line struct {
	first, rest []types.NamespacedName
	in          map[types.NamespacedName]bool // whether they are in first; a place whose pool is not in it, or is in the other, is void
}

func (l *line) put(key types.NamespacedName, first bool) {
	if was, ok := l.in[key]; ok && (was || !first) {
		return
	}
	if l.in == nil {
		l.in = map[types.NamespacedName]bool{}
	}
	l.in[key] = first
	if first {
		l.first = append(l.first, key)
	} else {
		l.rest = append(l.rest, key)
	}
}

func (l *line) remove(key types.NamespacedName) { delete(l.in, key) }

// take returns the next pool and takes it out.
func (l *line) take() (key types.NamespacedName, ok bool) {
	for len(l.first) > 0 {
		key, l.first = l.first[0], l.first[1:]
		if first, ok := l.in[key]; ok && first {
			delete(l.in, key)
			return key, true
		}
	}
	for len(l.rest) > 0 {
		key, l.rest = l.rest[0], l.rest[1:]
		if first, ok := l.in[key]; ok && !first {
			delete(l.in, key)
			return key, true
		}
	}
	*l = line{in: l.in}
	return types.NamespacedName{}, false
}
