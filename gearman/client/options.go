package client

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// Options of a client. Only Servers is needed.
type Options struct {
	// Servers are the job servers: host, host:port or [IPv6]:port, 4730 being the default port. A
	// name with several addresses is several job servers.
	Servers []string
	// Select says which server a job goes to (default RoundRobin).
	Select Selection
	// TLS, where set, encrypts the connections; ServerName defaults to the host that a server was
	// given by.
	TLS *tls.Config
	// Logger takes what the client has to tell about its connections (default: nothing).
	Logger *slog.Logger
	// Dialer opens connections (default: TCP with keep-alive probes).
	Dialer func(ctx context.Context, network, address string) (net.Conn, error)
	// Resolver looks names up (default: the system's).
	Resolver Resolver
	// ResolveInterval is how long a name's addresses are believed (default 30 s).
	ResolveInterval time.Duration
	// ConnectTimeout bounds connecting and the TLS handshake (default 1 s, since a caller waits).
	ConnectTimeout time.Duration
	// ReplyTimeout is how long a server that owes an answer (that a job is accepted, not that it
	// has run), or the rest of a packet, may neither send nor take a byte (default 30 s). Then its
	// connection is dropped with all that waits on it.
	ReplyTimeout time.Duration
	// KeepAlive is how long a connection on which only results are waited for may be silent before
	// the server is asked for an echo (default 1 min): that shows whether it is still there, and
	// keeps what lies between from giving the connection up.
	KeepAlive time.Duration
	// MaxResult is the largest result, and the largest part of one, in bytes (default 256 MiB). A
	// call whose result is larger fails with [proto.ErrTooLarge]; others go on.
	MaxResult int
	// MaxPending is how many jobs given to Produce may be under way, neither accepted nor refused
	// (default 1,000).
	MaxPending int
	// WriteTimeout is how long a server may take nothing of what it is sent (default 30 s).
	WriteTimeout time.Duration
	// QuarantineMin and QuarantineMax bound how long a server that couldn't be reached is passed
	// over: doubled with each failure, jittered (defaults 1 s, 30 s). If all are in quarantine,
	// each is tried after a second at most; until then calls fail at once with the last error.
	QuarantineMin, QuarantineMax time.Duration
	// Prefix is put before the name of each function.
	Prefix string
	// Exceptions asks the servers for the data of exceptions; without it a job that ends with one
	// just fails.
	Exceptions bool
	// Middleware is called for each job that is submitted, by whatever method, the first one
	// outermost: for tracing, metrics, or defaults of one's own. See [Middleware].
	Middleware []Middleware
	// Hooks are told about connections.
	Hooks Hooks
}

// Resolver looks names up. *net.Resolver is one.
type Resolver = gearman.Resolver

// Hooks are called one after the other, by a goroutine of their own, and may call the client's
// methods. Nil ones are skipped.
type Hooks struct {
	// ConnUp is called when a connection to a job server is open.
	ConnUp func(Conn)
	// ConnDown is called when a connection has ended or could not be opened. err is nil if Close
	// ended it, or its caller had no more use for it.
	ConnDown func(c Conn, err error)
}

// Conn names a connection in hooks.
type Conn struct {
	Server string        // ip:port
	Host   string        // the name that the server was given by
	Took   time.Duration // how long it took to open the connection, or to fail to
}

// Selection is a way to choose the server of a job.
type Selection int

// The ways to choose.
const (
	// RoundRobin takes the servers in turn.
	RoundRobin Selection = iota
	// Random takes any.
	Random
	// ByKey sends equal unique keys to the same server, so that it can coalesce them, by rendezvous
	// hashing: when a server comes or goes only its own keys move. Jobs without a key go round.
	ByKey
	// InOrder takes the first that can be reached, in the order of Options.Servers.
	InOrder
)

// JobStatus is the state of a job at its server.
type JobStatus struct {
	Known   bool // the server still has it; false also for a job that is done
	Running bool
	// Numerator and Denominator are how far the worker says it is.
	Numerator, Denominator uint64
	// Clients is how many clients wait for the job; only StatusByKey tells.
	Clients uint64
}

// Errors that callers tell apart.
var (
	// ErrFailed: the worker failed the job. The error is a *[gearman.JobError], which has what is
	// known of it.
	ErrFailed = gearman.ErrJobFailed
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("the client is closed")
	// ErrUncertain: the connection was lost when a job had been sent and not yet accepted, so it
	// may run or not.
	ErrUncertain = errors.New("the job may or may not have been accepted")
	// ErrDisconnected: the connection was lost while a job ran. Foreground jobs are dropped by the
	// server then.
	ErrDisconnected = errors.New("the connection to the job server was lost")
	// ErrNoServer: no job server could be reached. The error that wraps it tells each server tried.
	ErrNoServer = errors.New("no job server can be reached")
	// ErrQueueFull: the server has as many jobs of the function as its administrator lets it have
	// (admin.Conn.SetMaxQueue).
	ErrQueueFull = errors.New("the function's queue is full")
	// ErrTask: a mistake in a task.
	ErrTask = errors.New("invalid task")
	// ErrOptions: a mistake in Options.
	ErrOptions = errors.New("invalid client options")
)

// Task is a job to submit. Only Function is needed. One that was given to a method isn't changed by
// it, and must not be changed until that has returned.
type Task struct {
	Function string
	// Payload is what the worker gets. It isn't copied: don't change it until the task has ended.
	Payload []byte
	// PayloadFrom makes the payload the next PayloadSize bytes of a reader, instead of Payload.
	// They are read while they are sent, over a connection of the call's own, and never held in
	// memory. If the reader gives fewer, the call fails, and no server has the job. It may still be
	// read for a moment after a call that has ended early, as with a request of net/http; if it is
	// an io.Closer it is closed when the call has ended. Produce doesn't take it.
	PayloadFrom io.Reader
	PayloadSize int64
	// ResultTo writes the result of a foreground job to w as it comes, parts first, over a
	// connection of the call's own: about 1 MiB of it is in memory at most, the job server waits
	// while w does, and Options.MaxResult is no limit. Do then returns no result. If the job fails
	// at the end, w has what came before. An error of w ends the call.
	ResultTo io.Writer
	// Key is the job's unique key, of at most 63 bytes: while the server has a job of the same
	// function and key, others join it instead of being queued, with the payload and priority of
	// the first. [gearman.KeyOf] makes one of the payload, so that equal jobs join. Without a key a
	// foreground job has none, and a background job a random one of its own.
	Key gearman.Key
	// NoKey sends a background job without any key, rather than with one of its own. gearmand
	// 1.1.20 takes jobs without keys at the same speed however many wait, and jobs with keys the
	// slower the more wait (its `--hashtable-buckets`, 991 by default, can be raised). But with a
	// persistent queue it keeps only the last of such jobs for each function: after a restart the
	// others are lost (seen with gearmand 1.1.20 and libsqlite3).
	NoKey bool
	// Priority is that within the function (default gearman.Normal).
	Priority gearman.Priority
	// Background makes it a background job in RunSet and RunEach. The other methods know.
	Background bool
	// At delays a background job until a time, to the second (SUBMIT_JOB_EPOCH, normal priority);
	// the zero time is now. Perl's server doesn't know it.
	At time.Time
	// Timeout bounds this task, within its context (default: not at all).
	Timeout time.Duration
	// Resubmit is how often Do, Background and Call submit the job again if its connection is lost
	// when it may have been accepted (ErrUncertain) or while it runs (ErrDisconnected). The default
	// is never, since the job may then run twice: set it for jobs that may. A Key makes that rare:
	// while the server that had the job still has it, the job is joined rather than run again; with
	// several servers choose by Options.Select ByKey. It waits as long as Options.QuarantineMin
	// says before it does so, but a second at least, and twice as long each further time, up to
	// QuarantineMax; a server that can't be reached then counts as one submission, too. It can't be
	// combined with PayloadFrom, ResultTo and OnData, of which something has been used up by then.
	Resubmit int

	// OnCreated is called when a server has accepted the job: once for each submission.
	OnCreated func(gearman.JobID)
	// OnStatus is called when the worker tells how far it is.
	OnStatus func(numerator, denominator uint64)
	// OnData is called for each part of the result that the worker sends while the job runs. It
	// turns the result into a stream: what it was given is not part of what Do returns. Without it
	// the parts are put before the rest.
	OnData func(part []byte)
	// OnWarning is called for each warning.
	OnWarning func(warning []byte)
	// OnComplete is called with the result of a foreground job.
	OnComplete func(result []byte)
	// OnException is called with the exception of a job that ended with one, before OnFail: see
	// Options.Exceptions.
	OnException func(exception []byte)
	// OnFail is called when the job has failed, or with any other error.
	OnFail func(err error)
}

// packetType gives the packet that submits t.
func (t *Task) packetType() proto.Type {
	switch {
	case !t.At.IsZero():
		return proto.TypeSubmitJobEpoch
	case t.Background:
		return [...]proto.Type{
			gearman.Normal: proto.TypeSubmitJobBG, gearman.High: proto.TypeSubmitJobHighBG,
			gearman.Low: proto.TypeSubmitJobLowBG,
		}[t.Priority]
	}
	return [...]proto.Type{
		gearman.Normal: proto.TypeSubmitJob, gearman.High: proto.TypeSubmitJobHigh, gearman.Low: proto.TypeSubmitJobLow,
	}[t.Priority]
}
