package gearmantest

import (
	"crypto/tls"
	"net"
	"time"
)

// The versions that servers tell by default: those of the servers whose behaviour they take after.
const (
	Version          = "1.1.20+ds"
	PerlVersion      = "v1.130.1"
	Gearmand2Version = "2.0.0"
)

type config struct {
	rules  rules
	me     identity
	addr   string // of an in-memory server, or to listen on
	memory bool
	tls    *tls.Config
	on     net.Listener
	now    func() time.Time
}

// An Option sets one thing about a Server.
type Option func(*config)

// InMemory makes a server without a socket: connections are in-memory pipes, got from DialContext
// or Dialer. Such a server works in a testing/synctest bubble. addr is the name it goes by
// ("host:port"); empty picks one.
func InMemory(addr string) Option {
	return func(c *config) { c.memory, c.addr = true, addr }
}

// WithAddr makes the server listen on an address ("host:port"), instead of a loopback port of its
// own.
func WithAddr(addr string) Option { return func(c *config) { c.addr = addr } }

// WithListener makes the server use a listener, at an address of the caller's choice, instead of a
// loopback port of its own. The server closes it.
func WithListener(l net.Listener) Option { return func(c *config) { c.on = l } }

// WithJobRetries is gearmand's --job-retries: a job whose worker was lost n times fails. 0, the
// default, is no limit.
func WithJobRetries(n int) Option { return func(c *config) { c.rules.jobRetries = n } }

// WithWorkerWakeup is gearmand's --worker-wakeup: how many sleeping workers are woken for a job. 0,
// the default, is all.
func WithWorkerWakeup(n int) Option { return func(c *config) { c.rules.wakeup = n } }

// WithRoundRobin is gearmand's --round-robin: a connection's functions take turns, instead of the
// last registered going first.
func WithRoundRobin() Option { return func(c *config) { c.rules.roundRobin = true } }

// WithExceptions is gearmand's --exceptions: every client gets WORK_EXCEPTION, not only those that
// asked for it.
func WithExceptions() Option { return func(c *config) { c.rules.exceptions = true } }

// WithHandlePrefix is gearmand's --job-handle-prefix; handles are the prefix, a colon and a number.
// The default is "H:gearmantest".
func WithHandlePrefix(prefix string) Option {
	return func(c *config) { c.rules.handlePrefix = prefix }
}

// WithVersion sets the version that the server tells; it goes behind WithDialect, which sets it,
// too. From 2.2.0 on "show unique jobs" tells handles; nothing else goes by the version.
func WithVersion(version string) Option { return func(c *config) { c.me.version = version } }

// A Dialect is the family of job servers that a server takes after.
type Dialect uint8

// The dialects.
const (
	Gearmand  Dialect = iota // gearmand 1.1.20
	Perl                     // Perl's Gearman::Server 1.130
	Gearmand2                // gearmand 2.0.0; see WithDialect for how sure that is
)

// WithDialect makes the server behave, and tell its version, as those of a dialect do. Perl's knows
// neither --job-retries nor --round-robin nor --exceptions, and those options do nothing then.
// Restart(true) keeps its queue all the same, which the real one can't.
//
// Gearmand and Perl are held to the real servers by a suite. Gearmand2 is not: it is Gearmand with
// what 2.0.0's release notes and source say of its global priorities, functions that take turns,
// and sleepers woken for delayed jobs.
func WithDialect(d Dialect) Option {
	return func(c *config) {
		c.rules.perl, c.rules.two = d == Perl, d == Gearmand2
		c.me.version = [...]string{Gearmand: Version, Perl: PerlVersion, Gearmand2: Gearmand2Version}[d]
	}
}

// WithTLS makes every connection a TLS connection.
func WithTLS(conf *tls.Config) Option { return func(c *config) { c.tls = conf } }

// WithClock sets what delayed jobs are held against; the default is time.Now, which
// testing/synctest fakes. Timeouts of CAN_DO_TIMEOUT, wake-ups for delayed jobs (Gearmand2) and
// delays of a Fault always go by the real clock, or the bubble's.
func WithClock(now func() time.Time) Option { return func(c *config) { c.now = now } }
