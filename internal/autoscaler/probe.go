package autoscaler

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
)

const (
	// probeTimeout bounds one probe; a probe without an answer counts as runnable.
	probeTimeout = 2 * time.Second
	// probesAtOnce bounds the connections that probes open at the same time.
	probesAtOnce = 16
	// probesWaiting bounds the probes that wait for one of these.
	probesWaiting = 4096
)

// probe is a function whose backlog a job server is asked about.
type probe struct {
	pool     types.NamespacedName
	function string
}

// runProbes answers the probes that wait until ctx ends.
func (a *Autoscaler) runProbes(ctx context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	for range probesAtOnce {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case p := <-a.probes:
					a.answer(ctx, p)
				}
			}
		})
	}
}

// answer asks a job server for a verdict, and has the pool decided on again.
func (a *Autoscaler) answer(ctx context.Context, q probe) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	v, err := a.servers.Runnable(ctx, backlog.PoolKey(q.pool), q.function)
	// Without an answer the backlog counts as runnable: a worker too many does no harm, one too few does.
	notRunnable := err == nil && v == backlog.NotRunnable
	a.known(q.pool, func(p *Pool) { p.answerVerdict(q.function, notRunnable, a.clock.Now()) })
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
