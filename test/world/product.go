package world

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/gearman-operator/gearman-operator/controllers"
	"github.com/gearman-operator/gearman-operator/internal/autoscaler"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/workload"
	"github.com/gearman-operator/gearman-operator/test/world/kube"
	"github.com/gearman-operator/gearman-operator/test/world/wire"
)

// product is one running operator: what internal/operator assembles, on a simulated manager.
type product struct {
	host    *wire.Host
	stop    context.CancelFunc
	lead    func() // ends the wait for the lease
	setLate func(time.Duration)
	wg      sync.WaitGroup
	entries []func() map[string]int
}

// run is a manager's runnable.
type run func(context.Context) error

func (r run) Start(ctx context.Context) error { return r(ctx) }

// startProduct starts an operator: its cache at once, the rest when it becomes leader.
func (w *World) startProduct(life int) (*product, error) {
	byObject, err := controllers.CacheByObject()
	if err != nil {
		return nil, err
	}
	p := &product{host: w.net.Host(fmt.Sprintf("operator/%d", life))}
	cache := kube.NewCache(w.kube, byObject, w.kube.Weather.WatchLag)
	mgr := kube.NewManager(w.kube, cache)
	var pools *autoscaler.Autoscaler
	watcher := backlog.New(backlog.Options{
		Dial: func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			return p.host.DialContext(ctx, "tcp", addr.String())
		},
		LookupHost: w.names.lookup,
		OnTick:     func(keys []backlog.PoolKey, news bool) { pools.OnTick(keys, news) },
	})
	pools = autoscaler.New(watcher, autoscaler.Options{})
	reconciler := controllers.NewPoolReconciler(mgr.GetClient(), mgr.GetAPIReader(), &recorder{w}, pools,
		controllers.Options{Runtime: workload.RuntimeImage{Image: "operator:1"}, Workers: 4})
	if err := reconciler.SetupWithManager(mgr); err != nil {
		return nil, err
	}
	for _, r := range []manager.Runnable{pools, run(watcher.Run)} {
		if err := mgr.Add(r); err != nil {
			return nil, err
		}
	}
	p.entries = []func() map[string]int{pools.Counts, watcher.Entries}
	ctx, stop := context.WithCancel(context.Background())
	p.stop, p.lead, p.setLate = stop, mgr.Lead, mgr.SetLate
	p.wg.Go(func() {
		if err := mgr.Start(ctx); err != nil {
			w.fail("the operator ended: %v", err)
		}
	})
	return p, nil
}

// kill ends the operator at once, as an operator ends that has lost its lease.
func (p *product) kill() {
	p.stop()
	p.host.Kill()
}

// end stops the operator; nothing of it remains.
func (p *product) end() {
	p.kill()
	p.wg.Wait()
}

// counts returns what the operator reports to keep, by kind.
func (p *product) counts() map[string]int {
	out := map[string]int{}
	for _, of := range p.entries {
		maps.Copy(out, of())
	}
	return out
}

// recorder receives the operator's events.
type recorder struct{ w *World }

var _ events.EventRecorder = &recorder{}

// Eventf implements events.EventRecorder.
func (r *recorder) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	r.w.trace.add("event %s %s: %s", kind, reason, fmt.Sprintf(note, args...))
}
