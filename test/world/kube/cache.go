package kube

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// list returns the objects of a kind, by name; they must not be changed.
func (s *Server) list(kind string) []client.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sorted(kind)
}

func (s *Server) sorted(kind string) []client.Object {
	out := make([]client.Object, 0, len(s.objects[kind]))
	for _, o := range s.objects[kind] {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b client.Object) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return out
}

func labelSet(o client.Object) labels.Set { return o.GetLabels() }

// watch is a queue of events of one kind for one reader.
type watch struct {
	mu     sync.Mutex
	events []Event
	more   chan struct{}
}

func (w *watch) put(e Event) {
	w.mu.Lock()
	w.events = append(w.events, e)
	w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
}

func (w *watch) take() []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.events
	w.events = nil
	return out
}

// watch returns a watch that begins with the existing objects.
func (s *Server) watch(kind string) *watch {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &watch{more: make(chan struct{}, 1)}
	for _, o := range s.sorted(kind) {
		w.put(Event{Type: Added, Kind: kind, New: o})
	}
	s.watches[kind] = append(s.watches[kind], w)
	return w
}

// Cache simulates an informer cache: it lags behind the API server, and keeps the order of events
// for each kind.
type Cache struct {
	server *Server
	config map[string]cache.ByObject
	lag    func(kind string) time.Duration

	mu        sync.Mutex
	informers map[string]*informer
	indexes   map[string]map[string]client.IndexerFunc
	ctx       context.Context
	wg        sync.WaitGroup
}

// NewCache returns a cache that keeps the objects of each kind that byObject selects. lag is called
// before each delivery.
func NewCache(s *Server, byObject map[client.Object]cache.ByObject, lag func(kind string) time.Duration) *Cache {
	c := &Cache{
		server: s, config: map[string]cache.ByObject{}, lag: lag, informers: map[string]*informer{},
		indexes: map[string]map[string]client.IndexerFunc{},
	}
	for o, by := range byObject {
		c.config[kindOf(o)] = by
	}
	return c
}

var _ cache.Cache = &Cache{}

// Start implements cache.Cache: it delivers until ctx ends.
func (c *Cache) Start(ctx context.Context) error {
	c.mu.Lock()
	c.ctx = ctx
	for _, i := range c.informers {
		c.run(i)
	}
	c.mu.Unlock()
	<-ctx.Done()
	c.wg.Wait()
	return nil
}

func (c *Cache) run(i *informer) {
	i.watch = c.server.watch(i.kind)
	c.wg.Go(func() { i.run(c.ctx, c) })
}

// WaitForCacheSync implements cache.Cache.
func (c *Cache) WaitForCacheSync(ctx context.Context) bool {
	c.mu.Lock()
	all := make([]*informer, 0, len(c.informers))
	for _, i := range c.informers {
		all = append(all, i)
	}
	c.mu.Unlock()
	for _, i := range all {
		select {
		case <-i.synced:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// IndexField implements cache.Cache.
func (c *Cache) IndexField(_ context.Context, obj client.Object, field string, f client.IndexerFunc) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := kindOf(obj)
	if c.indexes[kind] == nil {
		c.indexes[kind] = map[string]client.IndexerFunc{}
	}
	c.indexes[kind][field] = f
	return nil
}

// GetInformer implements cache.Cache.
func (c *Cache) GetInformer(
	_ context.Context, obj client.Object, _ ...cache.InformerGetOption,
) (cache.Informer, error) {
	return c.informer(kindOf(obj)), nil
}

// GetInformerForKind implements cache.Cache.
func (c *Cache) GetInformerForKind(
	_ context.Context, gvk schema.GroupVersionKind, _ ...cache.InformerGetOption,
) (cache.Informer, error) {
	return c.informer(gvk.Kind), nil
}

// RemoveInformer implements cache.Cache; it is not simulated.
func (c *Cache) RemoveInformer(context.Context, client.Object) error {
	return notPlayed("remove informer")
}

func (c *Cache) informer(kind string) *informer {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.informers[kind]
	if i == nil {
		i = &informer{
			kind: kind, config: c.config[kind], indexes: c.indexes[kind],
			objects: map[types.NamespacedName]client.Object{}, synced: make(chan struct{}),
		}
		i.indexed = map[string]map[string]map[types.NamespacedName]bool{}
		for field := range i.indexes {
			i.indexed[field] = map[string]map[types.NamespacedName]bool{}
		}
		c.informers[kind] = i
		if c.ctx != nil {
			c.run(i)
		}
	}
	return i
}

// Get implements cache.Cache.
func (c *Cache) Get(_ context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	kind := kindOf(obj)
	o := c.informer(kind).get(key)
	if o == nil {
		return apierrors.NewNotFound(resourceOf(kind), key.Name)
	}
	into(obj, o)
	return nil
}

// List implements cache.Cache. A field selector must name an index.
func (c *Cache) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	o := (&client.ListOptions{}).ApplyOptions(opts)
	found, err := c.informer(kindOf(list)).list(o)
	if err != nil {
		return err
	}
	items := make([]runtime.Object, len(found))
	for i, obj := range found {
		items[i] = obj
		if !deref(c.config[kindOf(list)].UnsafeDisableDeepCopy) {
			items[i] = copyOf(obj)
		}
	}
	return meta.SetList(list, items)
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

type informer struct {
	kind    string
	config  cache.ByObject
	indexes map[string]client.IndexerFunc
	watch   *watch
	synced  chan struct{}

	mu       sync.Mutex
	objects  map[types.NamespacedName]client.Object
	indexed  map[string]map[string]map[types.NamespacedName]bool // by field and value
	handlers []toolscache.ResourceEventHandler
}

// run delivers events in order, each after its own lag, and none while the API server is down.
func (i *informer) run(ctx context.Context, c *Cache) {
	initial := i.watch.take()
	if !sleep(ctx, c.lag(i.kind)) {
		return
	}
	for _, e := range initial {
		i.deliver(e, true)
	}
	close(i.synced)
	for {
		select {
		case <-ctx.Done():
			return
		case <-i.watch.more:
		}
		for _, e := range i.watch.take() {
			if !sleep(ctx, c.lag(i.kind)) {
				return
			}
			for c.server.Weather.Down() {
				if !sleep(ctx, c.server.Weather.Between("back "+i.kind, 100*time.Millisecond, 900*time.Millisecond)) {
					return
				}
			}
			i.deliver(e, false)
		}
	}
}

func (i *informer) deliver(e Event, initial bool) {
	if i.config.Label != nil && !i.config.Label.Matches(labelSet(e.New)) {
		e.Type = Deleted // it may have matched before
	}
	o := e.New
	if i.config.Transform != nil {
		out, err := i.config.Transform(copyOf(o))
		if err != nil {
			panic(fmt.Sprintf("kube: transform of %s: %v", i.kind, err))
		}
		o = out.(client.Object)
	}
	key := keyOf(o)
	i.mu.Lock()
	old := i.objects[key]
	if old != nil {
		i.index(old, func(keys map[types.NamespacedName]bool) { delete(keys, key) })
	}
	if e.Type == Deleted {
		delete(i.objects, key)
	} else {
		i.objects[key] = o
		i.index(o, func(keys map[types.NamespacedName]bool) { keys[key] = true })
	}
	handlers := i.handlers
	i.mu.Unlock()
	for _, h := range handlers {
		switch {
		case e.Type == Deleted && old != nil:
			h.OnDelete(o)
		case e.Type == Deleted:
		case old == nil:
			h.OnAdd(o, initial)
		default:
			h.OnUpdate(old, o)
		}
	}
}

func (i *informer) index(o client.Object, f func(map[types.NamespacedName]bool)) {
	for field, of := range i.indexes {
		for _, value := range of(o) {
			if i.indexed[field][value] == nil {
				i.indexed[field][value] = map[types.NamespacedName]bool{}
			}
			f(i.indexed[field][value])
		}
	}
}

func (i *informer) get(key types.NamespacedName) client.Object {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.objects[key]
}

func (i *informer) list(o *client.ListOptions) ([]client.Object, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var out []client.Object
	take := func(obj client.Object) {
		if (o.Namespace == "" || obj.GetNamespace() == o.Namespace) && (o.LabelSelector == nil ||
			o.LabelSelector.Matches(labelSet(obj))) {
			out = append(out, obj)
		}
	}
	if o.FieldSelector != nil && !o.FieldSelector.Empty() {
		need := o.FieldSelector.Requirements()
		if len(need) != 1 || i.indexed[need[0].Field] == nil {
			return nil, fmt.Errorf("kube: no index for the field selector %s", o.FieldSelector)
		}
		for key := range i.indexed[need[0].Field][need[0].Value] {
			take(i.objects[key])
		}
	} else {
		for _, obj := range i.objects {
			take(obj)
		}
	}
	slices.SortFunc(out, func(a, b client.Object) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return out, nil
}

// AddEventHandler implements cache.Informer.
func (i *informer) AddEventHandler(h toolscache.ResourceEventHandler) (
	toolscache.ResourceEventHandlerRegistration, error,
) {
	i.mu.Lock()
	present := make([]client.Object, 0, len(i.objects))
	for _, o := range i.objects {
		present = append(present, o)
	}
	i.handlers = append(slices.Clone(i.handlers), h)
	i.mu.Unlock()
	for _, o := range present {
		h.OnAdd(o, true)
	}
	return registration{i}, nil
}

// AddEventHandlerWithResyncPeriod implements cache.Informer.
func (i *informer) AddEventHandlerWithResyncPeriod(
	h toolscache.ResourceEventHandler, _ time.Duration,
) (toolscache.ResourceEventHandlerRegistration, error) {
	return i.AddEventHandler(h)
}

// AddEventHandlerWithOptions implements cache.Informer.
func (i *informer) AddEventHandlerWithOptions(
	h toolscache.ResourceEventHandler, _ toolscache.HandlerOptions,
) (toolscache.ResourceEventHandlerRegistration, error) {
	return i.AddEventHandler(h)
}

// RemoveEventHandler implements cache.Informer.
func (i *informer) RemoveEventHandler(toolscache.ResourceEventHandlerRegistration) error {
	return notPlayed("remove event handler")
}

// AddIndexers implements cache.Informer.
func (i *informer) AddIndexers(toolscache.Indexers) error { return notPlayed("add indexers") }

// HasSynced implements cache.Informer.
func (i *informer) HasSynced() bool {
	select {
	case <-i.synced:
		return true
	default:
		return false
	}
}

// IsStopped implements cache.Informer.
func (i *informer) IsStopped() bool { return false }

// HasSyncedChecker implements cache.Informer.
func (i *informer) HasSyncedChecker() toolscache.DoneChecker { return done{i.synced, i.kind} }

type registration struct{ *informer }

type done struct {
	synced chan struct{}
	kind   string
}

func (d done) Name() string          { return reflect.TypeFor[Cache]().Name() + " of " + d.kind }
func (d done) Done() <-chan struct{} { return d.synced }
