package worker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// TestSideIsWaitedForInTime checks that while one request waits for a silent job server, another
// one on the same connection gives up when its own time is over, or when the worker ends.
func TestSideIsWaitedForInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSide(nil, gearman.Endpoint{})
		s.turn <- struct{}{} // the request that waits
		if err := s.exchange(t.Context(), nil, nil, nil); err == nil || !strings.Contains(
			err.Error(), "no answer within",
		) {
			t.Errorf("got %v, want it to say that no answer came in time", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.exchange(ctx, nil, nil, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
		<-s.turn
		s.close()
	})
}
