// Package gearmantest is an in-process Gearman job server for tests and benchmarks: what
// net/http/httptest is for HTTP.
//
//	server := gearmantest.NewServer(gearmantest.Options{})
//	defer server.Close()
//	// ... connect to server.Addr()
//
// It behaves like gearmand 1.1.20, including that server's oddities: the order in which jobs are
// assigned and requeued, coalescing, sleeping and waking, abandoned and delayed jobs that stay
// counted, the text protocol with the formats of its errors, and the limits and what happens beyond
// them. One conformance suite (test/conformance in this repository) runs on it and on the real
// gearmand. Both also get the same random requests, and their responses are compared packet by
// packet. It leaves out what nobody should rely on: memory that gearmand corrupts, requests that
// make it exit, and the order of the rows in its lists. That order comes from hash tables in
// gearmand, and is the order of creation here.
//
// With Options.Dialect it behaves like Perl's Gearman::Server instead, which the same suite checks.
// Gearmand2 follows the release notes and the source of gearmand 2.0.0; that version was not
// available to check it against.
//
// A server listens on a loopback port. With InMemory it doesn't listen: DialContext creates pipes,
// no socket is involved, and it can be used in a testing/synctest bubble, where delays and timeouts
// take no time. SetFault makes it hang, slow down, send garbage, or cut or drop connections;
// Refuse, CloseConnections, Restart and RestartWithQueue do what their names say.
//
// A Server owns its goroutines: one that accepts, one for each connection, and one more for a
// connection while something is being written to it. Close ends them all and waits for them. A
// Server never writes to its peers while it holds its lock, so a peer that reads nothing costs
// memory and doesn't delay others.
package gearmantest
