package backlog

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// PoolKey names a pool.
type PoolKey struct{ Namespace, Name string }

func (k PoolKey) String() string { return k.Namespace + "/" + k.Name }

// Options of a [Watcher]. All of them may be left out.
//
// There is no clock to inject: the pollers wait on connections, so a test that wants to hold the time runs in a synctest bubble, where time.Now and timers
// are the bubble's, with in-memory connections from Dial.
type Options struct {
	Logger *slog.Logger

	// MinPeriod is the shortest time between two polls of a job server, whatever the pools ask for (1 s).
	MinPeriod time.Duration
	// Timeout is how long one request may take, from the first byte out to the last byte in, and so may a dial (5 s).
	Timeout time.Duration
	// ResolvePeriod is how often a name is looked up again (10 s); at once, but at most once a second, when a connection to one of its addresses is lost.
	ResolvePeriod time.Duration

	// AddressPolicy says whether pools of a namespace may use a job server at that address, which name resolved to (the address itself where no name was
	// given). It is asked after each resolution and nothing else is ever dialled. RefuseLocal if nil; it decides alone where it is given.
	AddressPolicy func(namespace string, addr netip.Addr, name string) error

	// OnTick is called with the pools to decide on: those at zero as soon as an answer changed what their sample says, each of the others once per its
	// period, straight after a poll of one of its job servers where there is one. It is called from one goroutine, never twice at a time; a slow one delays
	// ticks (they are merged), no poll. keys is valid during the call only.
	OnTick func(keys []PoolKey)

	// AllFunctions also keeps the figures of functions that no pool wants, at most MaxFunctions (10,000) a job server, for [Watcher.Functions].
	AllFunctions bool
	MaxFunctions int

	// Dial and LookupHost replace the network in tests.
	Dial       func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	LookupHost func(ctx context.Context, host string) ([]netip.Addr, error)
}

// TLS says how to speak TLS with the job servers of a pool.
type TLS struct {
	// Identity stands for the material that Config returns (the names of the Secrets, say). Within a namespace, pools of the same identity share
	// connections; another identity is another connection.
	Identity string
	// Config is called before each dial, so that it can read the Secrets anew. ServerName defaults to the host as it was written.
	Config func(ctx context.Context) (*tls.Config, error)
}

// Subscription is what a pool wants to know.
type Subscription struct {
	Servers   []string // host[:port], IPv6 in brackets; the default port is 4730
	TLS       *TLS     // nil: plain
	Functions []string // by name, without repetition

	// Period is how fresh the figures should be (5 s). AtZero asks for a poll each second (or each MinPeriod): the pool has no pods, work may come any moment.
	Period time.Duration
	AtZero bool
	// StaleAfter is when a silent job server is left out of the sums (1 h).
	StaleAfter time.Duration
	// Hold is for how long an address counts that the name no longer resolves to and that has no work for the pool, or can't be reached (10 min).
	Hold time.Duration
	// Doorbell asks the job server to ring when a job comes for a pool at zero.
	Doorbell bool
}

// PodRef is a pod whose telemetry belongs to a pool.
type PodRef struct {
	UID  string
	Name string
	IP   string // empty while it has none
}

// Watcher polls job servers. All its methods may be called at any time, from any goroutine, also while it doesn't run.
type Watcher struct{}

// New returns a watcher that does nothing until [Watcher.Run].
func New(o Options) *Watcher { return &Watcher{} }

// Run polls until ctx is done, and returns nil when all goroutines have ended. It may be called once.
func (w *Watcher) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Set begins to watch for a pool, or changes what is watched for it. Calling it again with what is known already costs little. The error says which part of the
// subscription is wrong; what was watched before stays then.
func (w *Watcher) Set(key PoolKey, sub Subscription) error { return nil }

// Remove forgets a pool, and whatever no other pool needs.
func (w *Watcher) Remove(key PoolKey) {}

// SetPods says which pods the pool has. Telemetry of other pods is ignored; what pods that are gone have counted stays in the pool's sums.
func (w *Watcher) SetPods(key PoolKey, pods []PodRef) {}

// Sample returns what is known of a pool, false for a pool that isn't watched.
func (w *Watcher) Sample(key PoolKey, now time.Time) (Sample, bool) { return Sample{}, false }
