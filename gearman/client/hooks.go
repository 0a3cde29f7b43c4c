package client

import (
	"sync"
	"time"
)

// hookQueue calls hooks one after the other, in a goroutine that lives only while there is something to call. No lock of the client is held, and
// nothing waits for a hook, so hooks may call all of the client's methods.
type hookQueue struct {
	mu      sync.Mutex
	queue   []func()
	running bool          // there is a goroutine
	calling bool          // a hook runs
	done    chan struct{} // closed when the goroutine ends
}

func (q *hookQueue) up(h Hooks, server string, took time.Duration) {
	if f := h.ConnUp; f != nil {
		q.add(func() { f(server, took) })
	}
}

func (q *hookQueue) down(h Hooks, server string, err error) {
	if f := h.ConnDown; f != nil {
		q.add(func() { f(server, err) })
	}
}

func (q *hookQueue) add(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = append(q.queue, f)
	if !q.running {
		q.running, q.done = true, make(chan struct{})
		go q.run(q.done) // ended by the queue's end, which Close waits for (join)
	}
}

func (q *hookQueue) run(done chan struct{}) {
	defer close(done)
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.queue) > 0 {
		f := q.queue[0]
		q.queue = q.queue[1:]
		q.calling = true
		q.mu.Unlock()
		f()
		q.mu.Lock()
		q.calling = false
	}
	q.running = false
}

// isCalling reports whether a hook runs: whoever asks may be that hook.
func (q *hookQueue) isCalling() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.calling
}

// join waits until all hooks have been called.
func (q *hookQueue) join() {
	q.mu.Lock()
	done := q.done
	running := q.running
	q.mu.Unlock()
	if running {
		<-done
	}
}
