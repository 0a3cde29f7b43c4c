package wire

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gearman-operator/gearman-operator/test/world/dice"
)

// half is one direction of a connection.
type half struct {
	mu      sync.Mutex
	rand    *rand.Rand
	chunks  []chunk
	size    int
	last    time.Time // when the last chunk arrives: chunks keep their order
	err     error     // no more chunks are accepted; a reader gets it after the last
	frozen  bool
	held    bool          // packets are lost and sent again: everything arrives once that ends
	changed chan struct{} // closed at each change
}

type chunk struct {
	data []byte
	at   time.Time
	err  error // the end of the direction, which travels like data
}

func newHalf(seed, direction uint64) *half {
	return &half{rand: rand.New(dice.NewStream(seed + direction)), changed: make(chan struct{})}
}

func (h *half) notify() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// put sends p; it waits while too much is in flight.
func (h *half) put(p []byte, deadline <-chan struct{}) error {
	for {
		h.mu.Lock()
		if h.err != nil && !h.frozen {
			defer h.mu.Unlock()
			return h.err
		}
		if h.frozen && h.size+len(p) <= window { // it fills the buffers of a machine that is gone
			h.size += len(p)
			h.mu.Unlock()
			return nil
		}
		if !h.frozen && (h.size == 0 || h.size+len(p) <= window) {
			h.chunks = append(h.chunks, chunk{data: p, at: h.arrival()})
			h.size += len(p)
			h.notify()
			h.mu.Unlock()
			return nil
		}
		changed := h.changed
		h.mu.Unlock()
		select {
		case <-changed:
		case <-deadline:
			return errDeadline
		}
	}
}

// arrival returns when a chunk sent now arrives. h.mu is held.
func (h *half) arrival() time.Time {
	at := time.Now().Add(100*time.Microsecond + time.Duration(h.rand.Int64N(int64(time.Millisecond))))
	if !at.After(h.last) {
		at = h.last.Add(time.Duration(1 + h.rand.Int64N(1000)))
	}
	h.last = at
	return at
}

// end sends the end of the direction. If a job server closes all connections at one instant, each
// ends at a time of its own.
func (h *half) end(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil && !h.frozen {
		h.chunks = append(h.chunks, chunk{at: h.arrival(), err: err})
		h.notify()
	}
}

// await returns with the lock held once the first chunk has arrived, or with an error and without
// the lock. Nothing arrives from a frozen half, but a reader on this side (local) still sees that
// this side closed it.
func (h *half) await(local bool, deadline <-chan struct{}) error {
	for {
		select {
		case <-deadline:
			return errDeadline
		default:
		}
		h.mu.Lock()
		var wait time.Duration = -1
		switch {
		case (h.frozen || h.held) && (h.err == nil || !local):
		case len(h.chunks) > 0:
			if wait = time.Until(h.chunks[0].at); wait <= 0 && h.chunks[0].err == nil {
				return nil
			} else if wait <= 0 {
				h.err, h.chunks = h.chunks[0].err, nil
				h.notify()
				h.mu.Unlock()
				continue
			}
		case h.err != nil:
			defer h.mu.Unlock()
			return h.err
		}
		changed := h.changed
		h.mu.Unlock()
		if !pause(wait, changed, deadline) {
			return errDeadline
		}
	}
}

// pause waits for a time (negative: forever) or a change. It returns false if the deadline has
// passed.
func pause(wait time.Duration, changed, deadline <-chan struct{}) bool {
	var due <-chan time.Time
	if wait >= 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-due:
	case <-changed:
	case <-deadline:
		return false
	}
	return true
}

// next removes and returns the first chunk.
func (h *half) next(deadline <-chan struct{}) ([]byte, error) {
	if err := h.await(false, deadline); err != nil {
		return nil, err
	}
	defer h.mu.Unlock()
	c := h.chunks[0]
	h.chunks = h.chunks[1:]
	h.size -= len(c.data)
	h.notify()
	return c.data, nil
}

// read removes as much as fits into p.
func (h *half) read(p []byte, deadline <-chan struct{}) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := h.await(true, deadline); err != nil {
		return 0, err
	}
	defer h.mu.Unlock()
	c := &h.chunks[0]
	n := copy(p, c.data)
	c.data = c.data[n:]
	if len(c.data) == 0 {
		h.chunks = h.chunks[1:]
	}
	h.size -= n
	h.notify()
	return n, nil
}

// close ends the direction. If drop is set, chunks in flight are lost.
func (h *half) close(err error, drop bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if drop {
		h.chunks, h.size = nil, 0
	}
	if h.err == nil {
		h.err = err
	}
	h.notify()
}

// cut ends the direction at once, frozen or not.
func (h *half) cut(err error) {
	h.mu.Lock()
	h.frozen, h.held = false, false
	h.mu.Unlock()
	h.close(err, true)
}

func (h *half) hold(held bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = held
	h.notify()
}

func (h *half) freeze() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frozen = true
	h.notify()
}

func (h *half) broken() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err != nil && len(h.chunks) == 0
}

// deadline is a channel that is closed at the set time.
type deadline struct {
	mu    *sync.Mutex
	timer *time.Timer
	done  chan struct{}
}

func newDeadline() deadline { return deadline{mu: new(sync.Mutex), done: make(chan struct{})} }

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.done // it has fired, or is about to
	}
	d.timer = nil
	select {
	case <-d.done:
		d.done = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	done := d.done
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() { close(done) })
		return
	}
	close(done)
}

func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.done
}
