package worker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// TestMaxPayload checks that a payload over the limit fails its job, unread and for good, and that
// the connection stays open.
func TestMaxPayload(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]Function{
		"plain": nil,
		"with OnSpoolError": {
			{OnSpoolError: func(context.Context, *Job, error) error { return ErrRequeue }},
		},
		"with retries and a last stop": {{Retry: &RetryPolicy{Attempts: 3, DeadLetter: "dead"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.InMemory("192.0.2.1:4730"))
				defer s.Close()
				var mu sync.Mutex
				var ran []int
				var done []Done
				o := Options{MaxPayload: 1000, SpoolAbove: 500, SpoolDir: t.TempDir(), Hooks: Hooks{JobDone: func(
					_ *Job, d Done,
				) {
					mu.Lock()
					defer mu.Unlock()
					done = append(done, d)
				}}}
				handler := func(_ context.Context, j *Job) ([]byte, error) {
					mu.Lock()
					defer mu.Unlock()
					ran = append(ran, int(j.Size()))
					return nil, nil
				}
				inBubble(t, o, []*gearmantest.Server{s}, map[string]Handler{"f": handler}, func(*Worker) {
					for _, n := range []int{1001, 1000, 3 << 20, 10} {
						s.Submit("f", "", []byte(strings.Repeat("x", n)))
					}
					time.Sleep(time.Minute)
					synctest.Wait()
				}, opts...)
				mu.Lock()
				defer mu.Unlock()
				if len(ran) != 2 || ran[0] != 1000 || ran[1] != 10 || len(done) != 4 {
					t.Fatalf("ran %v of %d jobs, want those of 1000 and 10 bytes of 4", ran, len(done))
				}
				for _, d := range done {
					if tooLarge := d.BytesIn > 1000; tooLarge != errors.Is(d.Err, proto.ErrTooLarge) ||
						tooLarge != (d.Outcome == Fail) {
						t.Errorf("%d bytes: %v, %v", d.BytesIn, d.Outcome, d.Err)
					}
				}
				if n := s.Stats().Accepted; n != 1 {
					t.Errorf("%d connections, want the one to be kept", n)
				}
				if n := s.Function("dead").Total; n != 0 {
					t.Errorf("%d jobs were buried without their payload", n)
				}
			})
		})
	}
	for name, tt := range map[string]struct {
		o    Options
		want int64
	}{
		"default": {Options{}, 256 << 20}, "spooled": {Options{SpoolAbove: 1}, mostPayload},
		"none": {Options{MaxPayload: -1}, mostPayload}, "given": {Options{MaxPayload: 7, SpoolAbove: 1}, 7},
		"too much": {Options{MaxPayload: proto.MaxData}, mostPayload},
	} {
		tt.o.Servers = []string{"192.0.2.1"}
		w, err := New(tt.o)
		if err != nil || w.o.MaxPayload != tt.want {
			t.Errorf("%s: %d, %v, want %d", name, w.o.MaxPayload, err, tt.want)
		}
	}
}
