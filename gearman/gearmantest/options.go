package gearmantest

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// The versions that servers tell by default: those of the servers whose behaviour they take after.
const (
	Version          = "1.1.20+ds"
	PerlVersion      = "v1.130.1"
	Gearmand2Version = "2.0.0"
)

// Options of a server. The zero value is gearmand on a loopback port.
type Options struct {
	// InMemory makes a server without a socket: connections are in-memory pipes, got from
	// DialContext or Dialer. Such a server works in a testing/synctest bubble.
	InMemory bool
	// Addr is where the server listens, or the name that a server in memory goes by, "host:port"
	// (default: a loopback port or a name of its own).
	Addr string
	// Listener, where set, is used instead of one at Addr. The server closes it.
	Listener net.Listener
	// TLS, where set, makes every connection a TLS connection.
	TLS *tls.Config
	// Dialect is the kind of job servers that the server behaves as, and tells the version of
	// (default Gearmand). Perl's knows neither JobRetries nor RoundRobin nor Exceptions, and these
	// do nothing then. RestartWithQueue keeps its queue all the same, which the real one can't.
	//
	// Gearmand and Perl are held to the real servers by a suite. Gearmand2 is not: it is Gearmand
	// with what 2.0.0's release notes and source say of its global priorities, functions that take
	// turns, and sleepers woken for delayed jobs.
	Dialect Dialect
	// Version is the version that the server tells (default: that of its dialect). From 2.2.0 on
	// "show unique jobs" tells handles; nothing else goes by the version.
	Version string
	// JobRetries is gearmand's --job-retries: a job whose worker was lost so often fails (default:
	// no limit).
	JobRetries int
	// WorkerWakeup is gearmand's --worker-wakeup: how many sleeping workers are woken for a job
	// (default: all).
	WorkerWakeup int
	// RoundRobin is gearmand's --round-robin: a connection's functions take turns, instead of the
	// last registered going first.
	RoundRobin bool
	// Exceptions is gearmand's --exceptions: every client gets WORK_EXCEPTION, not only those that
	// asked for it.
	Exceptions bool
	// HandlePrefix is gearmand's --job-handle-prefix; handles are the prefix, a colon and a number
	// (default "H:gearmantest").
	HandlePrefix string
	// Clock is what delayed jobs are held against (default time.Now, which testing/synctest fakes).
	// Timeouts of CAN_DO_TIMEOUT, wake-ups for delayed jobs (Gearmand2) and delays of a Fault
	// always go by the real clock, or the bubble's.
	Clock func() time.Time
}

// InMemory gives the options of a server in memory by the name of addr; empty picks one.
func InMemory(addr string) Options { return Options{InMemory: true, Addr: addr} }

// WithAddr gives the options of a server that listens on an address.
func WithAddr(addr string) Options { return Options{Addr: addr} }

// A Dialect is the family of job servers that a server takes after.
type Dialect uint8

// The dialects.
const (
	Gearmand  Dialect = iota // gearmand 1.1.20
	Perl                     // Perl's Gearman::Server 1.130
	Gearmand2                // gearmand 2.0.0; see Options.Dialect for how sure that is
)

// dialect describes a dialect.
type dialect struct {
	name    string
	version string // that its servers tell by default
	set     func(*rules)
}

var dialects = [...]dialect{
	Gearmand:  {"gearmand", Version, func(*rules) {}},
	Perl:      {"perl", PerlVersion, func(r *rules) { r.perl = true }},
	Gearmand2: {"gearmand2", Gearmand2Version, func(r *rules) { r.two = true }},
}

// String names the dialect, in one word.
func (d Dialect) String() string { return dialects[d].name }

// Dialects returns all dialects by name.
func Dialects() map[string]Dialect {
	all := make(map[string]Dialect, len(dialects))
	for d := range dialects {
		all[dialects[d].name] = Dialect(d)
	}
	return all
}

// rules are the switches of a job server that change what the queue does: options of gearmand, and
// what other dialects do otherwise.
type rules struct {
	handlePrefix string
	jobRetries   int
	wakeup       int // workers woken for a job; 0: all
	roundRobin   bool
	exceptions   bool
	perl         bool // Gearman::Server's dialect in place of gearmand's: see perl.go
	two          bool // gearmand 2.0.0's: see gearmand2.go
	handles      bool // "show unique jobs" tells handles, as gearmand 2.2.0
}

// rules gives what a queue goes by.
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
