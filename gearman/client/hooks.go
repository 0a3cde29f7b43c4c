package client

import (
	"sync"
)

// hookQueue calls hooks one after the other, in a goroutine that lives only while there are hooks
// to call. No lock of the client is held, and nothing waits for a hook, so hooks may call all of
// the client's methods.
type hookQueue struct {
	mu      sync.Mutex
	queue   []func()
	running bool // the goroutine exists
}

func (q *hookQueue) up(h Hooks, c Conn) {
	if f := h.ConnUp; f != nil {
		q.add(func() { f(c) })
	}
}

func (q *hookQueue) down(h Hooks, c Conn, err error) {
	if f := h.ConnDown; f != nil {
		q.add(func() { f(c, err) })
	}
}

func (q *hookQueue) add(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = append(q.queue, f)
	if !q.running {
		q.running = true
		go q.run() // ends when the queue is empty; Close can't wait for it, since a hook may call Close
	}
}

func (q *hookQueue) run() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.queue) > 0 {
		f := q.queue[0]
		q.queue = q.queue[1:]
		q.mu.Unlock()
		f()
		q.mu.Lock()
	}
	q.running = false
}
