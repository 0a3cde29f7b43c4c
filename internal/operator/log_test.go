package operator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-logr/logr"
)

func TestCutOffAtTheEnd(t *testing.T) {
	canceled := fmt.Errorf("patch: %w", context.Canceled)
	for _, c := range []struct {
		name    string
		err     error
		message string
		ended   bool
		floor   slog.Level
		want    string
	}{
		{name: "cut off", err: canceled, ended: true, want: "level=INFO"},
		{
			name: "only the text is kept", err: errors.New("client rate limiter: context canceled"), ended: true,
			want: "level=INFO",
		},
		{
			name: "in the message", err: nil, message: "retrieving the lease: context canceled", ended: true,
			want: "level=INFO",
		},
		{name: "below the level", err: canceled, ended: true, floor: slog.LevelWarn, want: ""},
		{name: "another error at the end", err: errors.New("forbidden"), ended: true, want: "level=ERROR"},
		{name: "a deadline at the end", err: context.DeadlineExceeded, ended: true, want: "level=ERROR"},
		{name: "cut off amid the work", err: canceled, want: "level=ERROR"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var out bytes.Buffer
			h := cutOffHandler{slog.NewTextHandler(&out, &slog.HandlerOptions{Level: c.floor}), ctx.Done()}
			log := logr.FromSlogHandler(h).WithName("lease").WithValues("namespace", "a") // as the libraries log it
			if c.ended {
				cancel()
			}
			log.Error(c.err, c.message)
			if got := out.String(); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
				t.Errorf("logged %q, want %q", got, c.want)
			}
		})
	}
}

func TestCutOffInAGroup(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	slog.New(
		cutOffHandler{slog.NewTextHandler(&out, nil), ctx.Done()},
	).WithGroup("api").Error("list", "err", context.Canceled)
	if got := out.String(); !strings.Contains(got, "level=INFO") || !strings.Contains(got, "api.err=") {
		t.Errorf("logged %q", got)
	}
}
