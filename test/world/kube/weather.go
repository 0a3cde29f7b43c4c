package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/gearman-operator/gearman-operator/test/world/dice"
)

// Weather is the current state of the API server: latencies, lag, outages. It applies to all of the
// operator's requests and watches. Of these, only outages apply to the simulated controllers of
// Kubernetes.
type Weather struct {
	mu       sync.Mutex
	dice     *dice.Dice
	lag      map[string]time.Duration // of the operator's watches, by kind, in addition to the usual few milliseconds
	slow     time.Duration            // in addition to the usual latency
	down     bool
	failing  float64 // share of requests that are refused with a server error
	losing   float64 // share of writes that are carried out but whose answers are lost
	requests map[string]int
}

// NewWeather returns calm weather.
func NewWeather(seed uint64) *Weather {
	return &Weather{dice: dice.New(seed), lag: map[string]time.Duration{}, requests: map[string]int{}}
}

// SetLag delays the operator's watch events of a kind.
func (w *Weather) SetLag(kind string, d time.Duration) { w.set(func() { w.lag[kind] = d }) }

// SetSlow delays each request.
func (w *Weather) SetSlow(d time.Duration) { w.set(func() { w.slow = d }) }

// SetDown makes the API server unreachable, or reachable again.
func (w *Weather) SetDown(down bool) { w.set(func() { w.down = down }) }

// SetFailing makes the API server refuse this share of the operator's requests.
func (w *Weather) SetFailing(share float64) { w.set(func() { w.failing = share }) }

// SetLosing makes the API server carry out this share of the operator's writes without an answer.
func (w *Weather) SetLosing(share float64) { w.set(func() { w.losing = share }) }

func (w *Weather) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// Down reports whether the API server is unreachable.
func (w *Weather) Down() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.down
}

// Counts returns the operator's requests by verb and kind.
func (w *Weather) Counts() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.requests)
}

// Between draws a time from the stream of that name.
func (w *Weather) Between(name string, least, most time.Duration) time.Duration {
	return w.dice.Between(name, least, most)
}

// WatchLag returns how late the next event of a kind reaches the operator.
func (w *Weather) WatchLag(kind string) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lag[kind] + w.dice.Between("lag "+kind, time.Millisecond, 30*time.Millisecond)
}

var (
	errLostAnswer = errors.New("http2: client connection lost")
	errUnreached  = fmt.Errorf("dial tcp 10.96.0.1:443: connect: %w", syscall.ECONNREFUSED)
)

// request carries out op under the current weather.
func (w *Weather) request(ctx context.Context, verb, kind, name string, op func() error) error {
	w.mu.Lock()
	w.requests[verb+" "+kind]++
	stream := verb + " " + kind + " " + name
	before := w.dice.Between(stream, 500*time.Microsecond, 5*time.Millisecond) + w.slow
	after := w.dice.Between(stream, 500*time.Microsecond, 3*time.Millisecond)
	fails, loses := w.dice.Chance(stream, w.failing), w.dice.Chance(stream, w.losing) && verb != "get" && verb != "list"
	w.mu.Unlock()
	if !sleep(ctx, before) {
		return ctx.Err()
	}
	if w.Down() {
		return errUnreached
	}
	if fails {
		return apierrors.NewInternalError(errors.New("etcdserver: leader changed"))
	}
	err := op()
	if !sleep(ctx, after) {
		return ctx.Err()
	}
	if loses {
		return errLostAnswer
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
