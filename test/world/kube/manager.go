package kube

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// Manager is the part of a manager that a controller needs, over a simulated cache and client. Its
// other methods panic.
type Manager struct {
	manager.Manager // nil: methods that are not overridden are not simulated
	cache           *Cache
	client          *Client
	late            atomic.Int64 // of the client's writes, in nanoseconds

	led  chan struct{} // closed when the operator leads
	lead sync.Once

	mu        sync.Mutex
	runnables []manager.Runnable
}

// NewManager returns a manager of the API server.
func NewManager(s *Server, c *Cache) *Manager {
	m := &Manager{cache: c, client: NewClient(s, c), led: make(chan struct{})}
	m.client.late = &m.late
	return m
}

// SetLate makes the client's writes late, like those of a machine that stood still for this long.
func (m *Manager) SetLate(d time.Duration) { m.late.Store(int64(d)) }

// GetClient implements manager.Manager.
func (m *Manager) GetClient() client.Client { return m.client }

// GetAPIReader implements manager.Manager.
func (m *Manager) GetAPIReader() client.Reader { return NewClient(m.client.server, nil) }

// GetCache implements manager.Manager.
func (m *Manager) GetCache() cache.Cache { return m.cache }

// GetFieldIndexer implements manager.Manager.
func (m *Manager) GetFieldIndexer() client.FieldIndexer { return m.cache }

// GetScheme implements manager.Manager.
func (m *Manager) GetScheme() *runtime.Scheme { return m.client.Scheme() }

// GetRESTMapper implements manager.Manager.
func (m *Manager) GetRESTMapper() meta.RESTMapper { return m.client.RESTMapper() }

// GetLogger implements manager.Manager.
func (m *Manager) GetLogger() logr.Logger { return logr.Discard() }

// GetControllerOptions implements manager.Manager.
func (m *Manager) GetControllerOptions() config.Controller {
	return config.Controller{SkipNameValidation: new(true)} // one world may start an operator twice
}

// Elected implements manager.Manager.
func (m *Manager) Elected() <-chan struct{} {
	return m.led
}

// Lead ends the wait for the lease.
func (m *Manager) Lead() { m.lead.Do(func() { close(m.led) }) }

// Add implements manager.Manager.
func (m *Manager) Add(r manager.Runnable) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.runnables = append(m.runnables, r)
	return nil
}

// Start implements manager.Manager. It runs the cache and, once the operator leads, all added
// runnables, until ctx ends.
func (m *Manager) Start(ctx context.Context) error {
	var wg sync.WaitGroup
	m.mu.Lock()
	runnables := m.runnables
	m.mu.Unlock()
	errs := make(chan error, len(runnables)+1)
	wg.Go(func() { errs <- m.cache.Start(ctx) })
	for _, r := range runnables {
		wg.Go(func() {
			select {
			case <-ctx.Done():
				errs <- nil
			case <-m.led:
				errs <- r.Start(ctx)
			}
		})
	}
	wg.Wait()
	close(errs)
	var all error
	for err := range errs {
		all = errors.Join(all, err)
	}
	return all
}
