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
	// maxProbes bounds the probes that wait to be started.
	maxProbes = 4096
)

// probe is a function whose backlog a job server is polled about.
type probe struct {
	pool     types.NamespacedName
	function string
}

// runProbes starts the waiting probes until ctx ends. None waits for another one: a pool may have
// several at once, and the poller has separate connections for each job server, so a hanging server
// delays only its own pools.
func (a *Autoscaler) runProbes(ctx context.Context) {
	var started sync.WaitGroup
	defer started.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-a.probes:
			started.Go(func() { a.runProbe(ctx, p) })
		}
	}
}

// runProbe gets a verdict from a job server and triggers another decision on the pool: with the
// verdict, and before that if it takes longer than the pool waits for it.
func (a *Autoscaler) runProbe(ctx context.Context, q probe) {
	late := time.AfterFunc(sampling.VerdictWait, func() { a.notify(true, q.pool) })
	defer late.Stop()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	v, err := a.servers.Runnable(ctx, backlog.PoolKey(q.pool), q.function)
	if err != nil {
		v = backlog.Unknown // which counts as runnable: a surplus worker does no harm, a missing one does
	}
	a.doExisting(q.pool, func(p *Pool) { p.verdicts.Answer(q.function, v, a.clock.Now()) })
	a.notify(true, q.pool)
}

// requestProbe queues a probe, unless too many wait.
func (a *Autoscaler) requestProbe(q probe) bool {
	select {
	case a.probes <- q:
		return true
	default:
		return false
	}
}
