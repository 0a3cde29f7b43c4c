package worker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// Options of a worker. Only Servers is required.
type Options struct {
	// Servers are the job servers: host, host:port or [IPv6]:port; the default port is 4730. A name
	// with several addresses is several job servers; the worker follows changes of its addresses.
	Servers []string
	// Concurrency is how many jobs run at once (default 1).
	Concurrency int
	// TLS, if set, encrypts the connections; ServerName defaults to the host in Servers.
	TLS *tls.Config
	// Logger logs the state of the connections (default: no logging). Jobs are not logged: see
	// Hooks.
	Logger *slog.Logger
	// Dialer opens connections (default: TCP with keep-alive probes).
	Dialer func(ctx context.Context, network, address string) (net.Conn, error)
	// Resolver looks up names (default: the system's).
	Resolver Resolver
	// ResolveInterval is how often names are looked up again (default 30 s).
	ResolveInterval time.Duration
	// ConnectTimeout bounds connecting, the TLS handshake, and the registration that follows
	// (default 5 s each).
	ConnectTimeout time.Duration
	// GrabTimeout is how long a job server may be silent when it was polled for a job or is sending
	// one (default 30 s). Then the connection is dropped, so that a job server that hangs can't
	// keep a slot from the others.
	GrabTimeout time.Duration
	// WriteTimeout is how long a job server may accept none of the bytes sent to it (default 30 s).
	WriteTimeout time.Duration
	// ReconnectMin and ReconnectMax bound the wait before a lost connection is opened again. The
	// wait is doubled with each failure, and jittered. It starts over once the job server has given
	// a job or the connection has lasted half a minute (defaults 100 ms, 30 s).
	ReconnectMin, ReconnectMax time.Duration
	// RegrabMin and RegrabMax bound how long a sleeping connection waits before it polls for a job
	// without a wake-up (defaults 10 s, 30 s). This makes up for lost wake-ups, and gearmand sends
	// none when a delayed job becomes due.
	RegrabMin, RegrabMax time.Duration
	// KeepAlive is how often something is sent over a connection while its job runs (default 1
	// min), since proxies and address translators drop connections on which nothing is sent for
	// long.
	KeepAlive time.Duration
	// DrainTimeout is how long a soft stop may take before it becomes a hard stop (default: no
	// limit).
	DrainTimeout time.Duration
	// Linger keeps slot 0's connections open for this long after the worker's last job when it
	// stops, so that a reader of the job servers' client ids sees the last one (default: not at
	// all).
	Linger time.Duration
	// MaxJobs, if above 0, stops the worker softly after this many jobs. The worker takes no more
	// than these from the job servers. A job that is requeued, or whose outcome could not be sent,
	// doesn't count.
	MaxJobs int
	// StopWhenEmpty stops the worker softly once no job is running and none of its job servers has
	// a job for it. Delayed jobs that are not due don't count. A job server that can't be reached
	// is waited for.
	StopWhenEmpty bool
	// ClientID returns the id that a slot's connections show in the job servers' lists of workers
	// (default: none). It is called at each connect and by RenewClientID, from several goroutines.
	// Ids have at most 127 bytes and no white space.
	ClientID func(slot int) string
	// Prefix is prepended to the name of each function at the job servers; handlers see names
	// without it.
	Prefix string
	// Middleware wraps each handler, the first one outermost: for tracing, logging, or limits of
	// your own.
	Middleware []func(Handler) Handler
	// MaxPayload is the largest payload of a job in bytes. A job with a larger payload fails, and
	// Hooks.JobDone gets [proto.ErrTooLarge]; neither its handler nor a RetryPolicy sees it. The
	// default is 256 MiB if payloads are kept in memory. With SpoolAbove, which is meant for large
	// payloads, the default is no limit. Below 0 there is no limit. A packet must hold the payload
	// together with the other data of a retried job or a dead letter, so the payload never has more
	// than 4 GiB less 1 MiB.
	MaxPayload int64
	// SpoolAbove is the payload size in bytes above which a job's payload is written to a file
	// while it is received, instead of being kept in memory (default: never). OnSpoolError decides
	// the outcome of a job whose payload can't be written to the file.
	SpoolAbove int64
	// SpoolDir is the directory for these files (default: the system's directory for temporary
	// files).
	SpoolDir string
	// DropOnDisconnect cancels a job's context when its connection is lost. The job server gives
	// the job to another worker in any case. Without DropOnDisconnect the handler goes on, and its
	// result is discarded, unless the job server gives the job to another slot of this worker. That
	// slot then waits for the handler and sends its result.
	DropOnDisconnect bool
	// Journal, if set, records the running jobs of functions with a RetryPolicy beyond the worker's
	// death, so that runs that end with the worker's death are counted.
	Journal Journal
	// Hooks are called on events of jobs and connections.
	Hooks Hooks
}

// Resolver looks up names. *net.Resolver is one.
type Resolver = gearman.Resolver

// Hooks are called by the worker's goroutines, several at a time. A hook that blocks delays its
// slot or connection. Nil hooks are skipped.
type Hooks struct {
	// JobStart is called before the handler.
	JobStart func(*Job)
	// JobDone is called when the job's outcome has been sent, or when it can't be sent.
	JobDone func(*Job, Done)
	// ConnUp is called when a connection has registered its functions and the job server has
	// responded.
	ConnUp func(Conn)
	// ConnDown is called when a connection that was up has ended. err is nil if the worker closed
	// it on purpose.
	ConnDown func(Conn, error)
}

// Conn identifies a connection.
type Conn struct {
	Slot   int
	Server string // ip:port
	Host   string // the name in Options.Servers
	// Version is the version that the job server reported.
	Version proto.Version
}

// Outcome is how a job ended.
type Outcome int

// The outcomes.
const (
	Complete  Outcome = iota // WORK_COMPLETE was sent
	Fail                     // WORK_FAIL was sent
	Excepted                 // WORK_EXCEPTION was sent
	Retried                  // WORK_FAIL was sent after the job was submitted again for its next attempt
	Buried                   // WORK_FAIL was sent after the job was submitted to its dead letter function
	Requeued                 // the connection was dropped, so that the job server gives the job to another worker
	Lost                     // the connection was lost while the job ran: the job server gives it to another worker
	Abandoned                // a hard stop ended the job; otherwise like Lost
)

// String returns the outcome in lower case, suitable for a metric's label.
func (o Outcome) String() string {
	switch o {
	case Complete:
		return "complete"
	case Fail:
		return "fail"
	case Excepted:
		return "exception"
	case Retried:
		return "retried"
	case Buried:
		return "buried"
	case Requeued:
		return "requeued"
	case Lost:
		return "lost"
	case Abandoned:
		return "abandoned"
	}
	return "unknown"
}

// Done is the outcome of a job and its details.
type Done struct {
	Outcome  Outcome
	Duration time.Duration // of the handler
	// BytesIn is the size of the payload; BytesOut is that of the result, including the data and
	// warnings sent before it.
	BytesIn, BytesOut int64
	// Err is the handler's error, a panic that was recovered, or the reason why the outcome could
	// not be sent.
	Err error
	// Timeout is true if the handler's time was up.
	Timeout bool
	// Joined is true if the handler did not run: the job server gave the job while it still ran in
	// another slot of this worker, over a connection that was lost. The outcome is the outcome of
	// that other run, which itself is reported as Lost with ErrJoined.
	Joined bool
}

// mostPayload leaves room in a packet for the data before a payload that is submitted again: the
// names, and the front of a dead letter.
const mostPayload = proto.MaxData - 1<<20

// ErrOptions is returned for invalid Options.
var ErrOptions = errors.New("invalid worker options")

func (o *Options) setDefaults() ([]gearman.Address, error) {
	if len(o.Servers) == 0 {
		return nil, fmt.Errorf("%w: Servers is empty, at least one job server is needed", ErrOptions)
	}
	var addrs []gearman.Address
	for _, s := range o.Servers {
		a, err := gearman.ParseAddress(s)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrOptions, err)
		}
		addrs = append(addrs, a)
	}
	if o.Concurrency < 0 {
		return nil, fmt.Errorf("%w: Concurrency is %d, want 1 or more", ErrOptions, o.Concurrency)
	}
	if o.MaxJobs < 0 {
		return nil, fmt.Errorf("%w: MaxJobs is %d, want 0 for no limit, or more", ErrOptions, o.MaxJobs)
	}
	if o.Concurrency == 0 {
		o.Concurrency = 1
	}
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&o.ResolveInterval, 30 * time.Second},
		{&o.ConnectTimeout, 5 * time.Second},
		{&o.GrabTimeout, 30 * time.Second},
		{&o.WriteTimeout, 30 * time.Second},
		{&o.ReconnectMin, 100 * time.Millisecond},
		{&o.ReconnectMax, 30 * time.Second},
		{&o.RegrabMin, 10 * time.Second},
		{&o.RegrabMax, 30 * time.Second},
		{&o.KeepAlive, time.Minute},
	} {
		if *d.value <= 0 {
			*d.value = d.fallback
		}
	}
	if o.MaxPayload == 0 && o.SpoolAbove <= 0 {
		o.MaxPayload = 256 << 20
	}
	if o.MaxPayload <= 0 || o.MaxPayload > mostPayload {
		o.MaxPayload = mostPayload
	}
	o.ReconnectMax = max(o.ReconnectMax, o.ReconnectMin)
	o.RegrabMax = max(o.RegrabMax, o.RegrabMin)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return addrs, nil
}
