package logs

import (
	"context"
	"log/slog"
)

// NewHandler puts a limit before a handler of log records. Errors always pass.
func NewHandler(h slog.Handler, l *Limit) slog.Handler { return &limited{h, l} }

type limited struct {
	slog.Handler
	limit *Limit
}

// Handle writes the record if the limit allows it.
func (h *limited) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelError {
		ok, dropped := h.limit.take()
		if !ok {
			return nil
		}
		if dropped > 0 {
			logDropped(ctx, slog.New(h.Handler), dropped)
		}
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs keeps the limit.
func (h *limited) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &limited{h.Handler.WithAttrs(attrs), h.limit}
}

// WithGroup keeps the limit.
func (h *limited) WithGroup(name string) slog.Handler {
	return &limited{h.Handler.WithGroup(name), h.limit}
}
