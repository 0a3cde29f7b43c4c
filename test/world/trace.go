package world

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// trace is all events in order. Two runs of a seed that replay have equal traces.
type trace struct {
	mu    sync.Mutex
	began time.Time
	lines []line
}

type line struct {
	at   time.Duration
	text string
	fine bool // about single jobs: left out of a timeline
}

func newTrace() *trace { return &trace{began: time.Now()} }

func (t *trace) add(format string, args ...any)  { t.put(false, format, args...) }
func (t *trace) fine(format string, args ...any) { t.put(true, format, args...) }

func (t *trace) put(fine bool, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line{time.Since(t.began), fmt.Sprintf(format, args...), fine})
}

// hash identifies the trace. Events at one instant have no order.
func (t *trace) hash() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := sha256.New()
	lines := slices.Clone(t.lines)
	slices.SortStableFunc(
		lines, func(a, b line) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.text, b.text)) },
	)
	for _, l := range lines {
		fmt.Fprintf(h, "%d %s\n", l.at, l.text)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// timeline returns the trace for people, from one time to another.
func (t *trace) timeline(from, to time.Duration, fine bool) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, l := range t.lines {
		if l.at >= from && l.at <= to && (fine || !l.fine) {
			fmt.Fprintf(&b, "%9.3f  %s\n", l.at.Seconds(), l.text)
		}
	}
	return b.String()
}
