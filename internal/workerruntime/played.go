package workerruntime

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/worker"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/breaker"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
)

// Machine replaces the machine that a worker runs on. With one, the job loop, the breaker and the
// telemetry run under virtual time: no process is started, no signal is caught, nothing listens,
// and no file is written.
type Machine struct {
	// Journal counts the jobs that ran when an earlier process of this worker died. If nil, none
	// are counted.
	Journal worker.Journal

	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	LookupIP func(ctx context.Context, network, host string) ([]netip.Addr, error)
	Handler  job.Handler                    // runs the jobs of all functions
	Skew     time.Duration                  // how far its clock is ahead
	Done     func(*worker.Job, worker.Done) // called when a job's outcome has been sent, or can't be
}

// playedSettle separates what a slot and the announcer send at the same moment. Under virtual time
// that is one instant, and the scheduler would choose which comes first.
const playedSettle = time.Millisecond

// skew is how far the machine's clock is ahead. The clock of the real machine is taken as right.
func (m *Machine) skew() time.Duration {
	if m == nil {
		return 0
	}
	return m.Skew
}

// Played is a worker on a simulated machine.
type Played struct {
	run     *run
	signals chan os.Signal
}

// NewPlayed returns a worker that has not started.
func NewPlayed(o *options.Options, m *Machine) (*Played, error) {
	if m.Dial == nil || m.LookupIP == nil || m.Handler == nil {
		return nil, fmt.Errorf("give the played machine Dial, LookupIP and Handler")
	}
	kept := *o
	kept.Listen, kept.JournalDir, kept.SpoolAbove = "", "", math.MaxInt64
	r, err := newRun(&kept, slog.New(slog.DiscardHandler), m)
	if err != nil {
		return nil, err
	}
	return &Played{r, make(chan os.Signal, 2)}, nil
}

// Run works until SIGTERM has come and running jobs are done, or until Kill.
func (p *Played) Run(ctx context.Context) error { return p.run.main(ctx, p.signals) }

// Terminate is SIGTERM. A second one ends running jobs; further ones do nothing.
func (p *Played) Terminate() {
	select {
	case p.signals <- syscall.SIGTERM:
	default:
	}
}

// Kill ends the worker at once and waits for its end until ctx is done. The machine may drop
// whatever the worker still sends.
func (p *Played) Kill(ctx context.Context) { _ = p.run.worker.StopAndCancel(ctx) }

// Ready returns what the readiness probe would.
func (p *Played) Ready() bool {
	ok, _ := p.run.ready()
	return ok
}

// Unfit reports whether a breaker keeps the worker from taking jobs of some function.
func (p *Played) Unfit() bool {
	for _, h := range p.run.handlers {
		if state, _, _ := h.guard.view(); state != breaker.Open && state != breaker.Half {
			return false
		}
	}
	return true
}
