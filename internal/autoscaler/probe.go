package autoscaler

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/sampling"
)

const (
	// probeTimeout bounds one probe; a probe without an answer counts as runnable.
	probeTimeout = 2 * time.Second
	// probesWaiting bounds the probes that wait to be started.
	probesWaiting = 4096
)

// probe is a function whose backlog a job server is asked about.
type probe struct {
	pool     types.NamespacedName
	function string
}

// runProbes starts the probes that wait until ctx ends. None waits for another one: a pool has some
// at once, and the poller has lanes for each job server, so one that hangs delays only its own
// pools.
func (a *Autoscaler) runProbes(ctx context.Context) {
	var started sync.WaitGroup
	defer started.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-a.probes:
			started.Go(func() { a.answer(ctx, p) })
		}
	}
}

// answer asks a job server for a verdict, and has the pool decided on again: with the verdict, and
// before that if it takes longer than the pool waits for it.
func (a *Autoscaler) answer(ctx context.Context, q probe) {
	late := time.AfterFunc(sampling.VerdictWait, func() { a.notify(true, q.pool) })
	defer late.Stop()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	v, err := a.servers.Runnable(ctx, backlog.PoolKey(q.pool), q.function)
	if err != nil {
		v = backlog.Unknown // which counts as runnable: a worker too many does no harm, one too few does
	}
	a.known(q.pool, func(p *Pool) { p.verdicts.Answer(q.function, v, a.clock.Now()) })
	a.notify(true, q.pool)
}

// ask puts a probe in line, unless too many wait.
func (a *Autoscaler) ask(q probe) bool {
	select {
	case a.probes <- q:
		return true
	default:
		return false
	}
}
