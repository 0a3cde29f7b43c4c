package backlog

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/access"
	"github.com/gearman-operator/gearman-operator/internal/resolve"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

// PoolKey names a pool.
type PoolKey struct{ Namespace, Name string }

func (k PoolKey) String() string { return k.Namespace + "/" + k.Name }

// Options of a [Watcher]. All of them may be left out.
//
// There is no clock to inject: the pollers wait on connections, so a test that controls the time
// runs in a synctest bubble, where time.Now and timers are the bubble's, with in-memory connections
// from Dial.
type Options struct {
	Logger *slog.Logger

	// MinPeriod is the shortest time between two polls of a job server, whatever the pools' periods
	// are (1 s).
	MinPeriod time.Duration
	// Timeout is how long one request may take, from the first byte out to the last byte in, and so
	// may a dial (5 s).
	Timeout time.Duration
	// ResolvePeriod is how often a name is looked up again (10 s); when a connection to one of its
	// addresses is lost, at once, but at most once a second.
	ResolvePeriod time.Duration

	// AddressPolicy decides whether pools of a namespace may use a job server at that address,
	// which name resolved to (the address itself if no name was given). It is called after each
	// resolution and no other address is ever dialed. That of internal/access without rules if nil.
	AddressPolicy func(namespace string, addr netip.AddrPort, name string) error
	// Listed decides whether the state of a job server may be shown in full. Of others a pool
	// learns only whether they answer, so that addresses can't be used to scan the network. All are
	// if nil.
	Listed func(namespace string, addr netip.AddrPort, name string) bool

	// OnTick is called with the pools to decide on: those at zero as soon as an answer changed
	// their sample (news), each of the others once per its period, directly after a poll of one of
	// its job servers if there is one. It is called from one goroutine, never twice at a time; a
	// slow one delays ticks (they are merged), no poll. keys is valid during the call only.
	OnTick func(keys []PoolKey, news bool)

	// ForeignFunctions is of how many functions that no pool wants the figures are kept for each
	// job server, for [Watcher.Functions] (0). There are byte budgets too, for each job server and
	// in all.
	ForeignFunctions int

	// MaxAddresses is how many addresses of a name are used (64), MaxPoolServers how many job
	// servers a pool may have (256), and MaxNamespaceServers how many all pools of a namespace
	// together (256), and as many names. Those in use stay; of others the first by address are
	// taken. [Sample] reports the excess.
	MaxAddresses, MaxPoolServers, MaxNamespaceServers int

	// MaxNamespaceQueues is how many queues all pools of a namespace may have together: the
	// functions of each at each of its job servers (16,384). Job servers beyond it are left out.
	MaxNamespaceQueues int

	// ClusterDomain is the domain under which Services are found, see resolve.Name.
	ClusterDomain string

	// Dial and LookupHost replace the network in tests.
	Dial       func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	LookupHost func(ctx context.Context, host string) ([]netip.Addr, error)
}

// TLS is how to use TLS with the job servers of a pool.
type TLS struct {
	// Identity identifies the material that Config returns (the names of the Secrets, say). Within
	// a namespace, pools of the same identity share connections; another identity is another
	// connection.
	Identity string
	// Config is called before each dial, so that it can read the Secrets again. ServerName defaults
	// to the host as it was written.
	Config func(ctx context.Context) (*tls.Config, error)
}

// Subscription is what the watcher should poll for a pool.
type Subscription struct {
	Servers   []string // host[:port], IPv6 in brackets; the default port is 4730
	TLS       *TLS     // nil: plain
	Functions []string // by name, without repetition

	// Period is how fresh the figures should be (5 s). AtZero requests a poll each second (or each
	// MinPeriod): the pool has no pods, and a job may arrive at any moment.
	Period time.Duration
	AtZero bool
	// StaleAfter is when a silent job server is left out of the sums (1 h).
	StaleAfter time.Duration
	// Hold is how long an address counts that the name no longer resolves to and that has no jobs
	// for the pool, or can't be reached (10 min).
	Hold time.Duration
	// Doorbell makes the job server notify the watcher when a job arrives for a pool at zero.
	Doorbell bool
}

// PodRef is a pod whose telemetry belongs to a pool.
type PodRef struct {
	UID  string
	Name string
	IP   string // empty before it has one
	// Terminating: the pod is terminating, and rows from IP are its own.
	Terminating bool
}

// Watcher polls job servers. All its methods may be called at any time, from any goroutine, even
// while it doesn't run.
type Watcher struct {
	opts Options
	log  *slog.Logger

	ctx  context.Context // of all goroutines
	stop context.CancelFunc
	wg   sync.WaitGroup
	news chan struct{} // due or first isn't empty

	// mu guards the fields below, and what the types of this package say that it guards. It is held
	// for a batch of rows, or while a name's new addresses are applied to the pools, never during
	// I/O.
	mu          sync.Mutex
	running     bool
	stopped     bool
	waiting     []func() // what begins with Run
	pools       map[PoolKey]*pool
	targets     map[targetKey]*target
	servers     map[serverKey]*server
	podsByUID   map[telemetry.UID]*podState
	terminating map[*podState]struct{} // terminating pods
	tenants     map[string]*tenant     // by namespace
	paused      int                    // targets that are not looked up
	due         []PoolKey              // pools to decide on
	first       []PoolKey              // pools to decide on first

	foreignBytes int // size of the kept foreign functions
}

// New returns a watcher that does nothing before [Watcher.Run].
func New(o Options) *Watcher {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MinPeriod <= 0 {
		o.MinPeriod = time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.ResolvePeriod <= 0 {
		o.ResolvePeriod = 10 * time.Second
	}
	if o.MaxAddresses <= 0 {
		o.MaxAddresses = resolve.MaxAddresses
	}
	if o.MaxPoolServers <= 0 {
		o.MaxPoolServers = resolve.MaxServers
	}
	if o.MaxNamespaceServers <= 0 {
		o.MaxNamespaceServers = 256
	}
	if o.MaxNamespaceQueues <= 0 {
		o.MaxNamespaceQueues = 1 << 14
	}
	if o.AddressPolicy == nil {
		o.AddressPolicy = new(access.Policy).Check
	}
	if o.Dial == nil {
		dialer := new(net.Dialer)
		o.Dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", addr.String())
		}
	}
	if o.LookupHost == nil {
		o.LookupHost = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	return &Watcher{
		opts: o, log: o.Logger, ctx: ctx, stop: stop, news: make(chan struct{}, 1),
		pools: make(map[PoolKey]*pool), targets: make(map[targetKey]*target), servers: make(map[serverKey]*server),
		podsByUID: make(map[telemetry.UID]*podState), terminating: make(map[*podState]struct{}),
		tenants: make(map[string]*tenant),
	}
}

// tlsSource returns the source of the configuration for an identity, and from now on reads it with
// setup.
func (w *Watcher) tlsSource(identity string, setup *TLS) *tlsSource {
	for k, s := range w.servers {
		if k.tls == identity {
			s.tls.use(setup)
			return s.tls
		}
	}
	return newTLSSource(setup)
}

// Run polls until ctx is done, and returns nil when all goroutines have ended. It may be called
// once.
func (w *Watcher) Run(ctx context.Context) error {
	w.mu.Lock()
	if w.running || w.stopped {
		w.mu.Unlock()
		return errors.New("backlog: Run may be called once")
	}
	w.running = true
	for _, fn := range w.waiting {
		fn()
	}
	w.waiting = nil
	w.wg.Go(w.tick)
	w.mu.Unlock()

	<-ctx.Done()
	w.mu.Lock()
	w.running, w.stopped = false, true
	w.mu.Unlock()
	w.stop()
	w.wg.Wait()
	return nil
}

// begin runs fn: now, or with Run if the watcher doesn't run yet. A stopped watcher runs nothing.
// Watcher.mu is held, also while fn runs.
func (w *Watcher) begin(fn func()) {
	switch {
	case w.stopped:
	case w.running:
		fn()
	default:
		w.waiting = append(w.waiting, fn)
	}
}

// start runs fn in a goroutine of the watcher until the returned function is called. Before Run it
// waits for Run; a stopped watcher starts nothing. Watcher.mu is held.
func (w *Watcher) start(fn func(context.Context)) context.CancelFunc {
	ctx, cancel := context.WithCancel(w.ctx)
	w.begin(func() { w.spawn(ctx, fn) })
	return cancel
}

// spawn runs fn in a goroutine of the watcher, unless that has stopped; it reports whether it does.
// Watcher.mu is held.
func (w *Watcher) spawn(ctx context.Context, fn func(context.Context)) bool {
	if w.running {
		w.wg.Go(func() { fn(ctx) })
	}
	return w.running
}

// later runs fn in a goroutine of the watcher after d, unless ctx has ended by then. The wait takes
// a timer, and no goroutine.
func (w *Watcher) later(ctx context.Context, d time.Duration, fn func(context.Context)) {
	time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if ctx.Err() == nil {
			w.spawn(ctx, fn)
		}
	})
}
