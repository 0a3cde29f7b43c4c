package logs

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Limit is a token bucket over log records. When a record passes after others were dropped, a line
// before it says how many.
type Limit struct {
	perSecond float64
	burst     float64
	now       func() time.Time

	mu      sync.Mutex
	tokens  float64
	last    time.Time
	dropped int
}

// NewLimit lets burst records through at once and perSecond on average. If perSecond is 0,
// everything passes.
func NewLimit(perSecond float64, burst int, now func() time.Time) *Limit {
	return &Limit{perSecond: perSecond, burst: float64(burst), tokens: float64(burst), now: now, last: now()}
}

// take reports whether a record may pass, and how many were dropped since the last one that passed.
func (l *Limit) take() (ok bool, dropped int) {
	if l.perSecond == 0 {
		return true, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.tokens = min(l.burst, l.tokens+now.Sub(l.last).Seconds()*l.perSecond)
	l.last = now
	if l.tokens < 1 {
		l.dropped++
		return false, 0
	}
	l.tokens--
	dropped, l.dropped = l.dropped, 0
	return true, dropped
}

// Flush logs how many records were dropped since the last one that passed.
func (l *Limit) Flush(ctx context.Context, log *slog.Logger) {
	l.mu.Lock()
	dropped := l.dropped
	l.dropped = 0
	l.mu.Unlock()
	if dropped > 0 {
		logDropped(ctx, log, dropped)
	}
}

// Log writes a record if the limit allows it.
func (l *Limit) Log(ctx context.Context, log *slog.Logger, level slog.Level, msg string, attrs ...slog.Attr) {
	if !log.Enabled(ctx, level) {
		return
	}
	ok, dropped := l.take()
	if !ok {
		return
	}
	if dropped > 0 {
		logDropped(ctx, log, dropped)
	}
	log.LogAttrs(ctx, level, msg, attrs...)
}

func logDropped(ctx context.Context, log *slog.Logger, n int) {
	log.LogAttrs(ctx, slog.LevelWarn, "Left out log lines, there were too many", slog.Int("lines", n))
}
