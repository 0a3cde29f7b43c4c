// Package client submits jobs to Gearman job servers.
//
// A Client is safe for concurrent use and multiplexes all calls over one connection to each job server, opened when it is first needed. What
// goroutines submit at the same time travels in common writes; a Pipeline keeps many submissions under way from one
// goroutine. A job goes to one server, chosen by Options.Select; if that one can't be reached, to the next, and the error names every server
// tried. A job that may have reached a server is never sent to another by itself: the error then says so (ErrUncertain).
//
// Contexts bound every call. A foreground job whose context ends goes on at the server, its result is thrown away: the protocol has
// no way to take a job back but to close the connection, which others share.
//
// Each connection has one goroutine that reads; Close ends and joins them. Callbacks run in the goroutine of the call that they belong to,
// except a Pipeline's, which run in the reading goroutine and must not block.
package client
