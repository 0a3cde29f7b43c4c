package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// TestBlockedCallbackBlocksOneCall checks that a callback that doesn't return delays only its call,
// not the other responses on the connection. If too much waits for it, its call fails.
func TestBlockedCallbackBlocksOneCall(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		maxResult, parts int
		want             error
	}{
		"within the limit": {0, 3, context.Canceled},
		"over it":          {1 << 20, 5, proto.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { blockedCallback(t, tt.maxResult, tt.parts, tt.want) })
		})
	}
}

func blockedCallback(t *testing.T, maxResult, parts int, want error) {
	t.Helper()
	c := script(t, client.Options{MaxResult: maxResult}, func(s *scripted) {
		var slow string
		for {
			p, ok := s.next()
			if !ok {
				return
			}
			if p.Type == 0 { // the client cancels the job of the call that has failed
				s.send([]byte("OK\n"))
				continue
			}
			sub, err := p.Submission()
			if err != nil {
				t.Error(err)
				return
			}
			switch string(sub.Function) {
			case "slow":
				slow = s.accept()
				s.send(response(proto.TypeWorkStatus, slow, "1\x002"))
			case "produced":
				b := proto.AppendJobCreated(nil, "H:x:9")
				for range parts { // behind the response, in one write
					b = append(b, response(proto.TypeWorkData, slow, strings.Repeat("x", 600_000))...)
				}
				s.send(b)
			default:
				s.send(response(proto.TypeWorkComplete, s.accept(), "done"))
			}
		}
	})
	goOn, blocked := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		_, err := c.Do(ctx, &client.Task{Function: "slow", OnStatus: func(_, _ uint64) {
			close(blocked)
			<-goOn
		}})
		ended <- err
	}()
	<-blocked
	c.Produce(ctx, &client.Task{Function: "produced"}, func(_ gearman.JobID, err error) {
		if err != nil {
			t.Error(err)
		}
	})
	if err := c.Flush(ctx); err != nil {
		t.Errorf("a job that was accepted before the parts: %v", err)
	}
	if got, err := c.Do(ctx, &client.Task{Function: "other"}); err != nil || string(got) != "done" {
		t.Errorf("another call: %q, %v", got, err)
	}
	close(goOn)
	synctest.Wait()
	cancel()
	if err := <-ended; !errors.Is(err, want) {
		t.Errorf("the call with the callback: %v, want %v", err, want)
	}
}
