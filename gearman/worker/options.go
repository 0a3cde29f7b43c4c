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

// Options of a worker. Only Servers is needed.
type Options struct {
	// Servers are the job servers: host, host:port or [IPv6]:port, 4730 being the default port. A
	// name with several addresses is several job servers, and followed as its addresses change.
	Servers []string
	// Concurrency is how many jobs run at once (default 1).
	Concurrency int
	// TLS, where set, encrypts the connections; ServerName defaults to the host that a server was
	// given by.
	TLS *tls.Config
	// Logger takes what the worker has to tell about its connections (default: nothing is logged).
	// Jobs are not logged: see Hooks.
	Logger *slog.Logger
	// Dialer opens connections (default: TCP with keep-alive probes).
	Dialer func(ctx context.Context, network, address string) (net.Conn, error)
	// Resolver looks names up (default: the system's).
	Resolver Resolver
	// ResolveInterval is how often names are looked up again (default 30 s).
	ResolveInterval time.Duration
	// ConnectTimeout bounds connecting, the TLS handshake, and the registration that follows
	// (default 5 s each).
	ConnectTimeout time.Duration
	// GrabTimeout is how long a server may be silent when it was asked for a job or is sending one
	// (default 30 s). Then the connection is dropped, so that a hung server can't keep a slot from
	// the others.
	GrabTimeout time.Duration
	// WriteTimeout is how long a server may take nothing of what it is sent (default 30 s).
	WriteTimeout time.Duration
	// ReconnectMin and ReconnectMax bound the wait before a lost connection is opened again:
	// doubled with each failure, jittered, and from the start again once the server has given a job
	// or half a minute has gone well (defaults 100 ms, 30 s).
	ReconnectMin, ReconnectMax time.Duration
	// RegrabMin and RegrabMax bound how long a sleeping connection waits before it asks for a job
	// all the same (defaults 10 s, 30 s): it heals lost wake-ups, and gearmand doesn't ring when a
	// delayed job falls due.
	RegrabMin, RegrabMax time.Duration
	// KeepAlive is how often something is sent over a connection while its job runs (default 1
	// min): what lies between cuts connections on which nothing is sent for long.
	KeepAlive time.Duration
	// DrainTimeout is how long a soft stop may take before it turns hard (default: as long as it
	// takes).
	DrainTimeout time.Duration
	// Linger keeps slot 0's connections open for so long after the worker's last job when it stops,
	// so that whoever reads client ids from the servers sees the last one (default: not at all).
	Linger time.Duration
	// MaxJobs, where above 0, stops the worker softly after so many jobs. No more than these are
	// taken from the servers. A job that goes back to its server, or whose outcome could not be
	// sent, doesn't count.
	MaxJobs int
	// StopWhenEmpty stops the worker softly once no job runs and each of its servers has none for
	// it. Delayed jobs that are not due don't count. A server that can't be reached is waited for.
	StopWhenEmpty bool
	// ClientID gives the id that a slot's connections show in the servers' lists of workers
	// (default: none). It is asked at each connect and by RenewClientID, from several goroutines.
	// Ids are at most 127 bytes without white space.
	ClientID func(slot int) string
	// Prefix is put before the name of each function towards the servers, and taken off for
	// handlers.
	Prefix string
	// Middleware goes around each handler, the first one outermost: for tracing, logging, or limits
	// of one's own.
	Middleware []func(Handler) Handler
	// MaxPayload is the largest payload of a job in bytes. A job with a larger one fails, and is
	// told of by Hooks.JobDone as [proto.ErrTooLarge]; neither its handler nor a RetryPolicy sees
	// it. The default is 256 MiB where payloads are kept in memory, and no limit with SpoolAbove,
	// which is set for large ones. Below 0 there is no limit. A packet with
	// all else that a retried job or a dead letter has in it must hold the payload, so it never has
	// more than 4 GiB less 1 MiB.
	MaxPayload int64
	// SpoolAbove is the payload size in bytes above which a job's payload is written to a file
	// while it is received, instead of being kept in memory (default: never). What comes of a job
	// whose payload the file can't take, OnSpoolError says.
	SpoolAbove int64
	// SpoolDir is where those files are made (default: the system's directory for temporary files).
	SpoolDir string
	// DropOnDisconnect cancels a job's context when its connection is lost. The server gives the
	// job to another worker in any case. Without this the handler goes on; its result is thrown
	// away, unless the server gives the job to another slot of this worker, which then waits for
	// the handler and sends its result.
	DropOnDisconnect bool
	// Journal, where set, remembers the jobs of functions with a RetryPolicy beyond the worker's
	// death, so that runs which end with it count.
	Journal Journal
	// Hooks are told what happens.
	Hooks Hooks
}

// Resolver looks names up. *net.Resolver is one.
type Resolver = gearman.Resolver

// Hooks are called by the worker's goroutines, several at a time; a hook that blocks holds its slot
// or connection up. Nil ones are skipped.
type Hooks struct {
	// JobStart is called before the handler.
	JobStart func(*Job)
	// JobDone is called when the job's outcome has been sent, or when it can't be sent.
	JobDone func(*Job, Done)
	// ConnUp is called when a connection has registered its functions and the server has answered.
	ConnUp func(Conn)
	// ConnDown is called when a connection that was up has ended. err is nil if the worker closed
	// it on purpose.
	ConnDown func(Conn, error)
}

// Conn names a connection.
type Conn struct {
	Slot   int
	Server string // ip:port
	Host   string // the name that the server was given by
	// Version is what the server says it is.
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
	Requeued                 // the connection was dropped, so that the server gives the job to another worker
	Lost                     // the connection was lost while the job ran: the server gives it to another worker
	Abandoned                // a hard stop ended the job; as Lost
)

// String names the outcome in lower case, fit for a metric's label.
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

// Done tells how a job went.
type Done struct {
	Outcome  Outcome
	Duration time.Duration // of the handler
	// BytesIn is the size of the payload, BytesOut that of the result and of the data and warnings
	// sent before it.
	BytesIn, BytesOut int64
	// Err is what the handler returned, a panic that was recovered, or why the outcome could not be
	// sent.
	Err error
	// Timeout tells that the handler's time was up.
	Timeout bool
	// Joined: the handler did not run. The server gave the job while it still ran in another slot
	// of this worker, over a connection that was lost. The outcome is that of the other run, whose
	// own is Lost with ErrJoined.
	Joined bool
}

// mostPayload leaves room in a packet for what comes before a payload that is submitted again: the
// names, and the front of a dead letter.
const mostPayload = proto.MaxData - 1<<20

// ErrOptions is a mistake in Options.
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
