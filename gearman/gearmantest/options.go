package gearmantest

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// The default versions of the dialects, which are those of the servers that they imitate.
const (
	Version          = "1.1.20+ds"
	PerlVersion      = "v1.130.1"
	Gearmand2Version = "2.0.0"
)

// Options of a server. The zero value is gearmand on a loopback port.
type Options struct {
	// InMemory creates a server without a socket: connections are in-memory pipes, created by
	// DialContext or Dialer. Such a server works in a testing/synctest bubble.
	InMemory bool
	// Addr is the address at which the server listens, or the name of an in-memory server,
	// "host:port" (default: a loopback port or a unique name).
	Addr string
	// Listener, if set, is used instead of one at Addr. The server closes it.
	Listener net.Listener
	// TLS, if set, makes every connection a TLS connection.
	TLS *tls.Config
	// Dialect is the kind of job server that the server imitates and whose version it reports
	// (default Gearmand). With Perl, JobRetries, RoundRobin and Exceptions have no effect.
	// RestartWithQueue keeps the queue with every dialect, although Perl's real server can't.
	//
	// A suite checks Gearmand and Perl against the real servers. It doesn't check Gearmand2, which
	// is Gearmand with changes from the release notes and source of 2.0.0: global priorities,
	// functions that take turns, and sleepers woken for delayed jobs.
	Dialect Dialect
	// Version is the version that the server reports (default: the version of its dialect). From
	// 2.2.0 on "show unique jobs" includes handles; nothing else depends on the version.
	Version string
	// JobRetries is gearmand's --job-retries: a job that was lost by this many workers fails
	// (default: no limit).
	JobRetries int
	// WorkerWakeup is gearmand's --worker-wakeup: how many sleeping workers are woken for a job
	// (default: all).
	WorkerWakeup int
	// RoundRobin is gearmand's --round-robin: a connection's functions take turns, instead of the
	// last registered one being served first.
	RoundRobin bool
	// Exceptions is gearmand's --exceptions: every client gets WORK_EXCEPTION, not only those that
	// requested it.
	Exceptions bool
	// HandlePrefix is gearmand's --job-handle-prefix; handles are the prefix, a colon and a number
	// (default "H:gearmantest").
	HandlePrefix string
	// Clock is the clock for delayed jobs (default time.Now, which testing/synctest fakes).
	// Timeouts of CAN_DO_TIMEOUT, wake-ups for delayed jobs (Gearmand2) and delays of a Fault
	// always use the real clock, or the bubble's.
	Clock func() time.Time
}

// InMemory returns the options of an in-memory server with the name addr; empty picks a name.
func InMemory(addr string) Options { return Options{InMemory: true, Addr: addr} }

// WithAddr returns the options of a server that listens on an address.
func WithAddr(addr string) Options { return Options{Addr: addr} }

// A Dialect is the family of job servers that a server imitates.
type Dialect uint8

// The dialects.
const (
	Gearmand  Dialect = iota // gearmand 1.1.20
	Perl                     // Perl's Gearman::Server 1.130
	Gearmand2                // gearmand 2.0.0; see Options.Dialect for how well it is checked
)

// dialect describes a dialect.
type dialect struct {
	name    string
	version string // the default version that its servers report
	set     func(*rules)
}

var dialects = [...]dialect{
	Gearmand:  {"gearmand", Version, func(*rules) {}},
	Perl:      {"perl", PerlVersion, func(r *rules) { r.perl = true }},
	Gearmand2: {"gearmand2", Gearmand2Version, func(r *rules) { r.two = true }},
}

// String returns the dialect's name, in one word.
func (d Dialect) String() string { return dialects[d].name }

// Dialects returns all dialects by name.
func Dialects() map[string]Dialect {
	all := make(map[string]Dialect, len(dialects))
	for d := range dialects {
		all[dialects[d].name] = Dialect(d)
	}
	return all
}

// rules are the settings that change what the queue does: options of gearmand, and the differences
// of other dialects.
type rules struct {
	handlePrefix string
	jobRetries   int
	wakeup       int // workers woken for a job; 0: all
	roundRobin   bool
	exceptions   bool
	perl         bool // Gearman::Server's dialect instead of gearmand's: see perl.go
	two          bool // gearmand 2.0.0's: see gearmand2.go
	handles      bool // "show unique jobs" includes handles, as in gearmand 2.2.0
}

// rules returns the rules for a queue.
func (o *Options) rules() rules {
	version := proto.ParseVersion("OK " + o.Version)
	r := rules{
		jobRetries: o.JobRetries, wakeup: o.WorkerWakeup, roundRobin: o.RoundRobin, exceptions: o.Exceptions,
		handlePrefix: o.HandlePrefix, handles: version.UniqueWithHandle(),
	}
	dialects[o.Dialect].set(&r)
	return r
}

func (o *Options) setDefaults() {
	if o.Version == "" {
		o.Version = dialects[o.Dialect].version
	}
	if o.HandlePrefix == "" {
		o.HandlePrefix = "H:gearmantest"
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
}
