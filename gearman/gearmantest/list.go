package gearmantest

// A list is an intrusive doubly linked list: every element contains its node, so that linking
// allocates nothing.
type list[T any] struct {
	front, back *node[T]
	n           int
}

type node[T any] struct {
	next, prev *node[T]
	v          *T
}

func (l *list[T]) pushFront(n *node[T]) {
	n.prev, n.next = nil, l.front
	if l.front != nil {
		l.front.prev = n
	} else {
		l.back = n
	}
	l.front = n
	l.n++
}

func (l *list[T]) pushBack(n *node[T]) {
	n.prev, n.next = l.back, nil
	if l.back != nil {
		l.back.next = n
	} else {
		l.front = n
	}
	l.back = n
	l.n++
}

func (l *list[T]) remove(n *node[T]) {
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		l.front = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		l.back = n.prev
	}
	n.next, n.prev = nil, nil
	l.n--
}
