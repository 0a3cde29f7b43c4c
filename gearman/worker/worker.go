package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// Worker runs jobs. Create it with New, add handlers with Handle, and call Run.
type Worker struct {
	o         Options
	addresses []gearman.Address
	dialer    gearman.Dialer
	backoff   gearman.Backoff

	functions map[string]*function // by name at the job servers
	order     []*function          // in the order of registration

	admission  sync.Mutex    // guards the fields that Admit changes
	admissions atomic.Uint64 // number of calls of Admit
	slots      []*slot

	started  atomic.Bool
	born     time.Time     // when Run was called
	soft     chan struct{} // closed by a soft stop
	hard     chan struct{} // closed by a hard stop
	stops    atomic.Bool   // one of both is closed or about to be; cheaper to read
	ready    chan struct{} // closed at the first registration
	returned chan struct{} // closed when Run has returned
	once     struct{ soft, hard, ready sync.Once }

	jobs      context.Context // the handlers' context; ends with a hard stop
	stopJobs  context.CancelCauseFunc
	conns     context.Context // the connections' context; ends when they must close
	stopConns context.CancelFunc
	connWG    sync.WaitGroup // the connections' goroutines

	watching  atomic.Bool // look will be called
	lookAgain *time.Timer // calls it

	quota    quota
	runs     underway
	lastJob  atomic.Int64 // when the last job ended, Unix nanoseconds
	mu       sync.Mutex
	servers  map[gearman.Endpoint]*server
	sides    map[gearman.Endpoint]*side
	stopping bool // no connections may be added or reopened
}

// Errors for incorrect use of a worker.
var (
	ErrNoHandlers = errors.New("the worker has no handlers: call Handle before Run")
	ErrStarted    = errors.New("the worker was started already")
)

// New returns a worker. It connects when Run is called.
func New(o Options) (*Worker, error) {
	addresses, err := o.setDefaults()
	if err != nil {
		return nil, err
	}
	w := &Worker{
		o:         o,
		addresses: addresses,
		dialer:    gearman.Dialer{Dial: o.Dialer, TLS: o.TLS, Timeout: o.ConnectTimeout},
		backoff:   gearman.Backoff{Min: o.ReconnectMin, Max: o.ReconnectMax},
		functions: make(map[string]*function),
		soft:      make(chan struct{}),
		hard:      make(chan struct{}),
		ready:     make(chan struct{}),
		returned:  make(chan struct{}),
		servers:   make(map[gearman.Endpoint]*server),
		sides:     make(map[gearman.Endpoint]*side),
	}
	w.quota.init(o.MaxJobs, o.StopWhenEmpty)
	for i := range o.Concurrency {
		w.slots = append(w.slots, newSlot(w, i))
	}
	return w, nil
}

// clock returns the time since Run was called. It costs half as much as time.Now, which reads two
// clocks.
func (w *Worker) clock() time.Duration { return time.Since(w.born) }

// running returns how many jobs run.
func (w *Worker) running() (n int) {
	for _, s := range w.slots {
		s.mu.Lock()
		if s.running != nil {
			n++
		}
		s.mu.Unlock()
	}
	return n
}

// Handle registers a function. It must be called before Run. A name can be registered only once.
func (w *Worker) Handle(fn Function) error {
	f := &function{
		name: fn.Name, wire: w.o.Prefix + fn.Name, handler: fn.Handler, timeout: fn.Timeout, grace: fn.Grace,
		serverTimeout: fn.ServerTimeout, onPanic: fn.OnPanic, onSpoolError: fn.OnSpoolError, slots: fn.Slots,
	}
	if f.grace <= 0 {
		f.grace = 5 * time.Second
	}
	if fn.Retry != nil {
		f.retry = new(RetryPolicy)
		*f.retry = *fn.Retry
	}
	switch err := proto.CheckFunction(f.wire); {
	case err != nil:
		return err
	case fn.Handler == nil:
		return fmt.Errorf("function %s: the handler is nil", fn.Name)
	case w.started.Load():
		return fmt.Errorf("function %s: %w", fn.Name, ErrStarted)
	case w.functions[f.wire] != nil:
		// A job server would count a second registration as a second worker.
		return fmt.Errorf("function %s: it has a handler already", fn.Name)
	}
	for _, around := range slices.Backward(w.o.Middleware) {
		f.handler = around(f.handler)
	}
	if f.retry != nil {
		if err := f.retry.check(f); err != nil {
			return err
		}
	}
	for _, other := range w.order {
		f.firstSlot += max(0, other.slots)
	}
	w.functions[f.wire] = f
	w.order = append(w.order, f)
	return nil
}

// Run connects, processes jobs, and returns when the worker has stopped: nil after a soft stop in
// which all jobs were finished, ErrStopped after a hard one. The end of ctx is a soft stop;
// handlers see ctx's values, not its end. A worker can run only once.
func (w *Worker) Run(ctx context.Context) error {
	if len(w.functions) == 0 {
		return ErrNoHandlers
	}
	if w.started.Swap(true) {
		return ErrStarted
	}
	defer close(w.returned)
	w.born = time.Now()
	w.lookAgain = time.AfterFunc(time.Hour, w.look)
	w.lookAgain.Stop()
	defer w.lookAgain.Stop()
	w.jobs, w.stopJobs = context.WithCancelCause(context.WithValue(context.WithoutCancel(ctx), ownKey{}, w))
	defer w.stopJobs(nil)
	w.conns, w.stopConns = context.WithCancel(context.WithoutCancel(ctx))
	defer w.stopConns()

	var slots, rest sync.WaitGroup
	for _, s := range w.slots {
		slots.Go(s.run)
	}
	following, stopFollowing := context.WithCancel(ctx)
	defer stopFollowing()
	rest.Go(func() { w.follow(following) })
	idle := make(chan struct{}) // closed when all slots have finished
	rest.Go(func() { slots.Wait(); close(idle) })

	select {
	case <-ctx.Done():
		w.beginStop()
	case <-w.soft:
	case <-w.hard:
		w.beginStop()
	}
	stopFollowing()
	w.drain(idle)

	rest.Wait()
	w.stopConns()
	w.connWG.Wait()
	w.closeSides()
	select {
	case <-w.hard:
		return ErrStopped
	default:
		return nil
	}
}

// drain takes the worker through its stop, until all slots have finished and nothing keeps the
// connections open.
func (w *Worker) drain(idle <-chan struct{}) {
	w.mu.Lock()
	w.stopping = true
	w.mu.Unlock()
	for _, s := range w.slots {
		s.unregister(false)
	}
	var deadline <-chan time.Time
	if w.o.DrainTimeout > 0 {
		timer := time.NewTimer(w.o.DrainTimeout)
		defer timer.Stop()
		deadline = timer.C
	}
	select {
	case <-idle:
	case <-deadline:
		w.o.Logger.Warn(
			"Drain time is up, stopping hard", "drainTimeout", w.o.DrainTimeout, "running", w.running(),
		)
		w.beginStopAndCancel()
	case <-w.hard:
	}
	select {
	case <-idle:
	case <-w.hard:
		w.stopJobs(ErrStopped)
		w.stopConns()
		<-idle
		return
	}
	last := w.lastJob.Load()
	if linger := time.Until(time.Unix(0, last).Add(w.o.Linger)); last != 0 && linger > 0 {
		timer := time.NewTimer(linger)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-w.hard:
		case <-deadline:
		}
	}
	w.slots[0].leave()
}

// Ready returns a channel that is closed when the worker has first registered at a job server. It
// stays closed even if the connection is lost.
func (w *Worker) Ready() <-chan struct{} { return w.ready }

// WaitReady waits until the worker is registered at each of its job servers over at least one
// connection. If ctx ends first, the error names those that are missing.
func (w *Worker) WaitReady(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		st := w.Status()
		var missing []string
		for _, s := range st.Servers {
			if s.Registered == 0 {
				missing = append(missing, s.Server)
			}
		}
		if len(st.Servers) > 0 && len(missing) == 0 && !st.Resolving {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not registered yet at %v: %w", missing, context.Cause(ctx))
		}
	}
}

// RenewClientID calls Options.ClientID for the id of a slot and sends the id over the slot's
// connections, whether or not a job is running.
func (w *Worker) RenewClientID(slot int) error {
	if slot < 0 || slot >= len(w.slots) {
		return fmt.Errorf("slot %d of %d", slot, len(w.slots))
	}
	if w.o.ClientID == nil {
		return fmt.Errorf("%w: ClientID is not set", ErrOptions)
	}
	id := w.o.ClientID(slot)
	if err := proto.CheckClientID(id); err != nil {
		return err
	}
	for _, l := range w.slots[slot].links() {
		// If a connection fails here, its reader reports that.
		_ = l.out.Send(func(dst []byte) []byte { return proto.AppendSetClientID(dst, id) })
	}
	return nil
}

// Status is the state of a worker.
type Status struct {
	Servers   []ServerStatus // sorted by address
	Running   int            // running jobs
	Slots     int
	Connected int  // job servers with at least one registered connection
	Stopping  bool // a soft or hard stop has begun
	Resolving bool // a name has not been resolved yet
}

// ServerStatus is the state of the connections to one job server.
type ServerStatus struct {
	Server     string // ip:port
	Host       string // the name in Options.Servers
	Version    string // empty until the first connection was registered
	Registered int    // registered connections, at most one for each slot
	Reconnects uint64 // attempts that followed a lost connection or a failed attempt
	LastError  error  // of the last loss or failed attempt; nil once connected again
}

// Status returns the current state of the worker.
func (w *Worker) Status() Status {
	st := Status{Slots: len(w.slots), Running: w.running()}
	select {
	case <-w.soft:
		st.Stopping = true
	case <-w.hard:
		st.Stopping = true
	default:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	st.Resolving = w.resolvingLocked()
	for _, s := range w.servers {
		st.Servers = append(st.Servers, s.status())
		if s.registered > 0 {
			st.Connected++
		}
	}
	slices.SortFunc(st.Servers, func(a, b ServerStatus) int { return compare(a.Server, b.Server) })
	return st
}

// resolvingLocked reports whether a job server's name has not been resolved yet.
func (w *Worker) resolvingLocked() bool {
	return slices.ContainsFunc(w.addresses, func(a gearman.Address) bool {
		return !slices.ContainsFunc(mapKeys(w.servers), func(e gearman.Endpoint) bool { return e.Name == a.Host })
	})
}
