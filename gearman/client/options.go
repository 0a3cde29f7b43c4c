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

// Options of a client. Only Servers is required.
type Options struct {
	// Servers are the job servers: host, host:port or [IPv6]:port; the default port is 4730. A name
	// with several addresses is several job servers.
	Servers []string
	// Select is how the job server of a job is chosen (default RoundRobin).
	Select Selection
	// TLS, if set, encrypts the connections; ServerName defaults to the host in Servers.
	TLS *tls.Config
	// Logger logs the state of the connections (default: no logging).
	Logger *slog.Logger
	// Dialer opens connections (default: TCP with keep-alive probes).
	Dialer func(ctx context.Context, network, address string) (net.Conn, error)
	// Resolver looks up names (default: the system's).
	Resolver Resolver
	// ResolveInterval is how long a name's addresses are used before the next lookup (default 30
	// s).
	ResolveInterval time.Duration
	// ConnectTimeout bounds connecting and the TLS handshake (default 1 s, since a caller waits).
	ConnectTimeout time.Duration
	// ReplyTimeout is how long a job server that owes a response, or the rest of a packet, may
	// neither send nor accept a byte (default 30 s). The response is that a job is accepted, not
	// that it has run. After that time the connection is closed, and all calls that wait on it
	// fail.
	ReplyTimeout time.Duration
	// KeepAlive is how long a connection may be silent while only results are outstanding before
	// the client requests an echo (default 1 min). The echo shows whether the job server is alive,
	// and keeps proxies and address translators from dropping the connection.
	KeepAlive time.Duration
	// MaxResult is the largest result, and the largest part of one, in bytes (default 256 MiB). A
	// call with a larger result fails with [proto.ErrTooLarge], as does a call whose callbacks are
	// so slow that more than this, and 1 MiB, waits for them. Other calls are not affected.
	MaxResult int
	// MaxPending is how many jobs submitted with Produce may be under way, neither accepted nor
	// refused (default 1,000).
	MaxPending int
	// WriteTimeout is how long a job server may accept none of the bytes sent to it (default 30 s).
	WriteTimeout time.Duration
	// QuarantineMin and QuarantineMax bound how long a job server that couldn't be reached is
	// passed over. The time is doubled with each failure, and jittered (defaults 1 s, 30 s). If all
	// are in quarantine, each is tried after a second at most; until then calls fail at once with
	// the last error.
	QuarantineMin, QuarantineMax time.Duration
	// Prefix is prepended to the name of each function.
	Prefix string
	// Exceptions requests the data of exceptions from the job servers. Without it, an exception is
	// only reported as a failure.
	Exceptions bool
	// Middleware is called for each job that is submitted, by any method; the first one is
	// outermost. Use it for tracing, metrics, or your own defaults. See [Middleware].
	Middleware []Middleware
	// Hooks are called when connections open and end.
	Hooks Hooks
}

// Resolver looks up names. *net.Resolver is one.
type Resolver = gearman.Resolver

// Hooks are called one after the other, in a goroutine of their own, and may call the client's
// methods. Nil hooks are skipped.
type Hooks struct {
	// ConnUp is called when a connection to a job server is open.
	ConnUp func(Conn)
	// ConnDown is called when a connection has ended or could not be opened. err is nil if Close
	// ended it, or if its caller no longer needed it.
	ConnDown func(c Conn, err error)
}

// Conn identifies a connection in hooks.
type Conn struct {
	Server string        // ip:port
	Host   string        // the name in Options.Servers
	Took   time.Duration // how long it took to open the connection, or to fail
}

// Selection is a way to choose the job server of a job.
type Selection int

// The ways to choose.
const (
	// RoundRobin uses the job servers in turn.
	RoundRobin Selection = iota
	// Random uses a random job server.
	Random
	// ByKey sends equal unique keys to the same job server, so that it can coalesce them. It uses
	// rendezvous hashing: when a job server is added or removed, only its own keys move. Jobs
	// without a key use the job servers in turn.
	ByKey
	// InOrder uses the first job server that can be reached, in the order of Options.Servers.
	InOrder
)

// JobStatus is the state of a job at its job server.
type JobStatus struct {
	Known   bool // the job server still has it; also false for a job that has ended
	Running bool
	// Numerator and Denominator are the progress that the worker reported.
	Numerator, Denominator uint64
	// Clients is how many clients wait for the job; only StatusByKey returns it.
	Clients uint64
}

// Errors that callers can distinguish.
var (
	// ErrFailed: the worker failed the job. The error is a *[gearman.JobError] with the details.
	ErrFailed = gearman.ErrJobFailed
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("the client is closed")
	// ErrUncertain: the connection was lost after a job was sent and before it was accepted, so the
	// job may or may not run.
	ErrUncertain = errors.New("the job may or may not have been accepted")
	// ErrDisconnected: the connection was lost while a job ran. The job server then drops
	// foreground jobs.
	ErrDisconnected = errors.New("the connection to the job server was lost")
	// ErrNoServer: no job server could be reached. The error that wraps it names each one tried.
	ErrNoServer = errors.New("no job server can be reached")
	// ErrQueueFull: the job server's limit for jobs of the function is reached
	// (admin.Conn.SetMaxQueue).
	ErrQueueFull = errors.New("the function's queue is full")
	// ErrTask: the task is invalid.
	ErrTask = errors.New("invalid task")
	// ErrOptions: the Options are invalid.
	ErrOptions = errors.New("invalid client options")
)

// Task is a job to submit. Only Function is required. Methods don't change the task that they are
// given. Don't change it until the method has returned.
type Task struct {
	Function string
	// Payload is what the worker gets. It isn't copied: don't change it until the task has ended.
	Payload []byte
	// PayloadFrom makes the payload the next PayloadSize bytes of a reader, instead of Payload.
	// They are read while they are sent, over a connection of the call's own, and never held in
	// memory. If the reader returns fewer bytes, the call fails, and no job server has the job. If
	// the call ends early, the reader may still be read for a moment, as with a request of
	// net/http. If it is an io.Closer, it is closed when the call has ended. Produce doesn't
	// support it.
	PayloadFrom io.Reader
	PayloadSize int64
	// ResultTo is a writer w that the result of a foreground job is written to as it arrives, parts
	// first, over a connection of the call's own. About 1 MiB of the result is in memory at most,
	// the job server waits while w blocks, and Options.MaxResult doesn't apply. Do then returns no
	// result. If the job fails in the end, w has the data that came before. An error of w ends the
	// call.
	ResultTo io.Writer
	// Key is the job's unique key, of at most 63 bytes. While the job server has a job with the
	// same function and key, further submissions join that job instead of being queued, with the
	// payload and priority of the first. [gearman.KeyOf] makes a key from the payload, so that
	// equal jobs join. If Key is empty, a foreground job has no key, and a background job a random
	// one.
	Key gearman.Key
	// NoKey sends a background job without any key, instead of with a random one. gearmand 1.1.20
	// accepts jobs without keys at the same speed no matter how many are queued, and jobs with keys
	// more slowly the more are queued (its `--hashtable-buckets`, 991 by default, can be raised).
	// But with a persistent queue it keeps only the last job without a key for each function: after
	// a restart the others are lost (seen with gearmand 1.1.20 and libsqlite3).
	NoKey bool
	// Priority is the priority within the function (default gearman.Normal).
	Priority gearman.Priority
	// Background makes it a background job in RunSet and RunEach. The other methods don't need it.
	Background bool
	// At delays a background job until a time, to the second (SUBMIT_JOB_EPOCH, normal priority).
	// The zero time means now. Perl's server doesn't support it.
	At time.Time
	// Timeout bounds this task, within its context (default: no limit).
	Timeout time.Duration
	// Resubmit is how often Do, Background and Call submit the job again if its connection is lost
	// when it may have been accepted (ErrUncertain) or while it runs (ErrDisconnected). The default
	// is never, since the job may then run twice: set it only for jobs that may run twice. A Key
	// makes this rare: while the job server that had the job still has it, the submission joins the
	// job instead of running it again. With several job servers, set Options.Select to ByKey for
	// this. The wait before the first resubmission is Options.QuarantineMin, but at least a second.
	// It doubles each time, up to QuarantineMax. A job server that can't be reached then also
	// counts as one submission. Resubmit can't be combined with PayloadFrom, ResultTo and OnData,
	// which have been partly consumed by then.
	Resubmit int

	// OnCreated is called when a job server has accepted the job: once for each submission.
	OnCreated func(gearman.JobID)
	// OnStatus is called when the worker reports its progress.
	OnStatus func(numerator, denominator uint64)
	// OnData is called for each part of the result that the worker sends while the job runs. It
	// turns the result into a stream: parts passed to it are not included in the result of Do. If
	// OnData is nil, the parts are prepended to the rest of the result.
	OnData func(part []byte)
	// OnWarning is called for each warning.
	OnWarning func(warning []byte)
	// OnComplete is called with the result of a foreground job.
	OnComplete func(result []byte)
	// OnException is called with the exception of a job that ended with one, before OnFail. See
	// Options.Exceptions.
	OnException func(exception []byte)
	// OnFail is called if the job failed, or with any other error.
	OnFail func(err error)
}

// packetType returns the type of the packet that submits t.
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
