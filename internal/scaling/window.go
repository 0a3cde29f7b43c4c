package scaling

// maxEntries bounds a Window: 16 values of one window are finer than a decision needs.
const maxEntries = 16

// Window is the least value over a sliding time. Its memory is bounded: if there are too many
// entries, the two oldest are merged into one with the newer time and the lower value, so that it
// errs only to the low side.
type Window struct {
	// Since is when it was last reset.
	Since float64
	// Entries rise in time and in value: each is the least value from its time on.
	Entries []Entry
}

// Entry is a value at a time.
type Entry struct {
	At, Value float64
}

// restart drops everything before now.
func (w *Window) restart(now float64) {
	w.Since, w.Entries = now, w.Entries[:0]
}

// push adds a value and drops what is older than length.
func (w *Window) push(now, value, length float64) {
	for len(w.Entries) > 0 && w.Entries[len(w.Entries)-1].Value >= value {
		w.Entries = w.Entries[:len(w.Entries)-1]
	}
	drop := 0
	for drop < len(w.Entries) && w.Entries[drop].At < now-length {
		drop++
	}
	if drop > 0 {
		w.Entries = w.Entries[:copy(w.Entries, w.Entries[drop:])]
	}
	if len(w.Entries) >= maxEntries {
		w.Entries[1].Value = w.Entries[0].Value
		w.Entries = w.Entries[:copy(w.Entries, w.Entries[1:])]
	}
	w.Entries = append(w.Entries, Entry{now, value})
}

// least returns the least value; full is whether a whole length has passed since the start.
func (w *Window) least(now, length float64) (value float64, full bool) {
	if len(w.Entries) == 0 {
		return 0, false
	}
	return w.Entries[0].Value, now-w.Since >= length
}

// shift adds to all values.
func (w *Window) shift(by float64) {
	for i := range w.Entries {
		w.Entries[i].Value = max(0, w.Entries[i].Value+by)
	}
}
