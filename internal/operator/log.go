package operator

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// SetUpLogging sets the loggers of the process by the options. The libraries' loggers are global,
// so it is called once, before anything else runs. Once ctx has ended, requests that this cut off
// are not logged as errors.
func SetUpLogging(ctx context.Context, o Options) {
	logger := slog.New(cutOffHandler{newHandler(o), ctx.Done()})
	slog.SetDefault(logger)
	ctrl.SetLogger(logr.FromSlogHandler(logger.Handler()))
	klog.SetLogger(logr.FromSlogHandler(logger.Handler()))
}

func newHandler(o Options) slog.Handler {
	var level slog.Level
	_ = level.UnmarshalText([]byte(o.LogLevel)) // Parse has checked it
	opts := &slog.HandlerOptions{Level: level}
	if o.LogFormat == "text" {
		return slog.NewTextHandler(os.Stderr, opts)
	}
	return slog.NewJSONHandler(os.Stderr, opts)
}

// cutOffHandler logs as information what libraries log as errors because the process ends: requests
// that were cut off.
type cutOffHandler struct {
	slog.Handler
	ended <-chan struct{}
}

func (h cutOffHandler) Handle(ctx context.Context, r slog.Record) error {
	select {
	case <-h.ended:
		if r.Level >= slog.LevelError && cutOff(r) {
			r.Level = slog.LevelInfo
			if !h.Enabled(ctx, r.Level) {
				return nil
			}
		}
	default:
	}
	return h.Handler.Handle(ctx, r)
}

func (h cutOffHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return cutOffHandler{h.Handler.WithAttrs(attrs), h.ended}
}

func (h cutOffHandler) WithGroup(name string) slog.Handler {
	return cutOffHandler{h.Handler.WithGroup(name), h.ended}
}

// cutOff reports whether the record is about a request whose context ended. Some libraries keep
// only the text of that error.
func cutOff(r slog.Record) bool {
	text := context.Canceled.Error()
	found := strings.Contains(r.Message, text)
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok {
			found = found || errors.Is(err, context.Canceled) || strings.Contains(err.Error(), text)
		}
		return !found
	})
	return found
}
