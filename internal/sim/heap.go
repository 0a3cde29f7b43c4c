package sim

// kind is the kind of an event.
type kind uint8

const (
	jobEnds kind = iota
	jobDue
	podCreated
	podRegistered
	podCrashed
	drainOver
	snapshot
	decide
	applied
	podShown
	podFails
	nodeDies
	podLost
	podCut
	podEvicted
	foreignChanges
	operatorRestarts
)

// event is something that happens at a time, in seconds. Of two events at the same time, the one
// pushed first comes first.
type event struct {
	at    float64
	order uint32
	who   int32
	kind  kind
}

func (a *event) before(b *event) bool {
	return a.at < b.at || (a.at == b.at && a.order < b.order)
}

// events is a heap with four children per node: half as deep as a binary heap, for the same number
// of cache lines.
type events struct {
	heap  []event
	order uint32
}

func (h *events) push(at float64, k kind, who int32) {
	h.order++
	e := event{at, h.order, who, k}
	h.heap = append(h.heap, e)
	i := len(h.heap) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&h.heap[up]) {
			break
		}
		h.heap[i] = h.heap[up]
		i = up
	}
	h.heap[i] = e
}

func (h *events) pop() event {
	top := h.heap[0]
	n := len(h.heap) - 1
	last := h.heap[n]
	h.heap = h.heap[:n]
	if n == 0 {
		return top
	}
	i := 0
	for {
		first := 4*i + 1
		if first >= n {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, n); c++ {
			if h.heap[c].before(&h.heap[least]) {
				least = c
			}
		}
		if !h.heap[least].before(&last) {
			break
		}
		h.heap[i] = h.heap[least]
		i = least
	}
	h.heap[i] = last
	return top
}
