//go:build !linux || portable

package process

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func reaperMain() int { panic("there is no reaper here") }

// TestUnsupported: a call that this system doesn't support returns an error that callers can
// distinguish.
func TestUnsupported(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{"orphans": AdoptOrphans(), "seclude": Seclude()} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	NewTable().ReapOrphans(ctx)
}

// TestEventsWakeUp: a change of a descriptor or a deadline and the end of the set wake a waiting
// call.
func TestEventsWakeUp(t *testing.T) {
	t.Parallel()
	r, w, err := Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(r)
		unix.Close(w)
	})
	if _, err := unix.Write(w, []byte("x")); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(e *Events) error
		want   error // nil: r is ready
	}{
		"a descriptor": {func(e *Events) error { return e.Add(r) }, nil},
		"a deadline":   {func(e *Events) error { e.SetDeadline(time.Unix(1, 0)); return nil }, os.ErrDeadlineExceeded},
		"the end":      {(*Events).Close, os.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := NewEvents()
			if err != nil {
				t.Fatal(err)
			}
			var got []int
			failed := make(chan error)
			go func() {
				var err error
				got, err = e.Wait(nil)
				failed <- err
			}()
			awaitWaiting(t, e)
			if err := tc.change(e); err != nil {
				t.Fatal(err)
			}
			if err := <-failed; !errors.Is(err, tc.want) || tc.want == nil && (len(got) != 1 || got[0] != r) {
				t.Errorf("ready %v, error %v", got, err)
			}
			if err := e.Close(); (err != nil) != (name == "the end") {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

func awaitWaiting(t *testing.T, e *Events) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		e.mu.Lock()
		waiting := e.waiting
		e.mu.Unlock()
		if waiting {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody waits within a minute")
		}
	}
}
