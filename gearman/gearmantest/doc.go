// Package gearmantest is a Gearman job server inside the process, for tests and benchmarks: what
// net/http/httptest is for HTTP.
//
//	server := gearmantest.NewServer(gearmantest.Options{})
//	defer server.Close()
//	// ... connect to server.Addr()
//
// It behaves as gearmand 1.1.20 does, in what that server does well and in what it does oddly: the
// order in which jobs are handed out and requeued, coalescing, sleeping and waking, abandoned and
// delayed jobs that stay counted, the text protocol with its error forms, the limits and what
// happens beyond them. One conformance suite (test/conformance in this repository) runs on it and
// on the real server, which also get the same random requests and are compared packet by packet. It
// leaves out what nobody should build on: memory that gearmand corrupts, requests that end it, and
// the order of the rows of its lists, which comes from hash tables there and is the order of
// creation here.
//
// Options.Dialect makes it behave as Perl's Gearman::Server does instead, held to that server by
// the same suite. Gearmand2 takes after gearmand 2.0.0 as far as its release notes and
// source tell; no such server was at hand to hold it to.
//
// A server listens on a loopback port or, with InMemory, on nothing: then DialContext makes pipes,
// no socket is involved, and it can be used in a testing/synctest bubble, where delays and timeouts
// take no time. SetFault makes it hang, slow down, answer garbage, cut or drop connections; Refuse,
// CloseConnections, Restart and RestartWithQueue do what their names say.
//
// A Server owns its goroutines: one that accepts, one for each connection, and one more for a
// connection while something is being written to it. Close ends them all and waits for them. It
// never writes to its peers while it holds its lock, so a peer that reads nothing costs memory and
// holds up nobody.
package gearmantest
