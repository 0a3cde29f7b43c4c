package workerruntime

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/telemetry"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/breaker"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
)

const (
	// announceEvery is how often the client id is renewed while jobs run or have ended since the
	// last renewal.
	announceEvery = time.Second
	// edgeEvery is the least time between a renewal and the next one, which an idle worker's first
	// job or a busy worker's last one causes. Otherwise quick jobs would send more packets about
	// themselves than for themselves.
	edgeEvery = 50 * time.Millisecond
	// turnEvery is how often an idle worker of several functions reports the next one. The operator
	// polls now and then, and sees only the id of that moment.
	turnEvery = 5 * time.Second
	// linger is how long a stopping pod stays connected after its last job, so that the operator
	// sees the last counts: a little more than one period of its polls (5 s).
	linger = 6 * time.Second
)

// announcer reports to the operator how this worker is doing, via the client id of slot 0's
// connections. Without a pod's uid there is no telemetry, and the id only identifies the worker.
type announcer struct {
	reporter *telemetry.Reporter // nil: no telemetry
	plain    string              // the id without telemetry
	edge     chan struct{}
	more     atomic.Bool // some function's news is not reported yet

	skew   time.Duration // how far a simulated machine's clock is ahead
	settle time.Duration // on a simulated machine: the id is renewed this long after the job's own packets
}

func newAnnouncer(uid, pod string, start time.Time, capacity int, functions []string) (*announcer, error) {
	a := &announcer{edge: make(chan struct{}, 1)}
	if uid == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		a.plain = strings.ReplaceAll(fmt.Sprintf("gearman-worker_%.80s_%d", host, os.Getpid()), " ", "_")
		return a, nil
	}
	r, err := telemetry.NewReporter(uid, pod, start, capacity, functions)
	if err != nil {
		return nil, fmt.Errorf("GEARMAN_WORKER_POD_UID: %w", err)
	}
	a.reporter = r
	return a, nil
}

// clientID is the id of a slot's connections.
func (a *announcer) clientID(slot int) string {
	switch {
	case a.reporter == nil:
		return a.plain
	case slot == 0:
		id, more := a.reporter.Next(time.Now().Add(a.skew))
		a.more.Store(more)
		return id
	}
	return a.reporter.Brief()
}

func (a *announcer) started(function string, now time.Time, edge bool) {
	if a.reporter != nil {
		a.reporter.Start(function, now.Add(a.skew))
		a.signal(edge)
	}
}

func (a *announcer) ended(function string, started, now time.Time, o telemetry.Outcome, edge bool) {
	if a.reporter != nil {
		a.reporter.End(function, started.Add(a.skew), now.Add(a.skew), o)
		a.signal(edge)
	}
}

// trouble sets the telemetry letter that says why jobs of the functions can't run, or 0 if they
// can.
func (a *announcer) trouble(functions []string, letter byte) {
	if a.reporter == nil {
		return
	}
	for _, f := range functions {
		a.reporter.SetTrouble(f, letter)
	}
	a.more.Store(true)
	a.signal(true)
}

// troubleLetter returns the client id's letter for a breaker's state.
func troubleLetter(mode options.Mode, state string) byte {
	switch state {
	case breaker.Failing.String():
		return telemetry.TroubleFailing
	case breaker.Open.String(), breaker.Half.String():
		return modes[mode].trouble
	}
	return 0
}

func (a *announcer) signal(edge bool) {
	if !edge {
		return
	}
	select {
	case a.edge <- struct{}{}:
	default:
	}
}

func (a *announcer) linger() time.Duration {
	if a.reporter == nil {
		return 0
	}
	return linger
}

// run renews the id at every idle/busy edge, each second while there is news, and now and then if
// the worker reports several functions in turn.
func (a *announcer) run(ctx context.Context, renew func(slot int) error, log *slog.Logger) {
	if a.reporter == nil {
		return
	}
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	last := time.Time{}
	wasBusy := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.edge:
			if wait := max(edgeEvery-time.Since(last), a.settle); wait > 0 {
				timer := time.NewTimer(wait)
				select {
				case <-ctx.Done():
					timer.Stop()
					return
				case <-timer.C:
				}
			}
		case <-tick.C:
			if !a.news(&wasBusy) && !a.turn(time.Since(last)) {
				continue
			}
		}
		last = time.Now()
		if err := renew(0); err != nil {
			log.LogAttrs(ctx, slog.LevelDebug, "Client id not renewed", slog.Any("error", err))
		}
	}
}

// news reports whether there may be something to report: jobs run, or ran when it was last called.
func (a *announcer) news(wasBusy *bool) bool {
	busy := a.reporter.Busy() > 0
	changed := busy || *wasBusy || a.more.Load()
	*wasBusy = busy
	return changed
}

// turn reports whether an id without news is due because the last one is old enough. For a worker
// of several functions it is due sooner if one of them has trouble.
func (a *announcer) turn(age time.Duration) bool {
	several, trouble := a.reporter.Turns()
	return several && (trouble || age > turnEvery-announceEvery/2)
}
