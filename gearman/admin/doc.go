// Package admin speaks the text protocol of Gearman job servers over a persistent connection: what
// queues there are and who works on them, and the commands that change a server.
//
// Each call has a deadline. An answer that is cut short or garbled is an error, never a short list:
// behind the commands that answer with rows the connection sends an ECHO_REQ, and takes for the
// answer what comes before its echo, so that a function named like the closing "." can neither end
// a list early nor shift the answers of later commands. After an error that leaves the conversation
// in doubt the connection is closed, and each later call says so.
//
// The package starts no goroutines and never sends what it wasn't asked to. "drop function" leaves
// jobs dangling on gearmand, and "prioritystatus" and "show jobs" hold the whole server up in
// proportion to its jobs: see docs/servers.md before calling them often.
package admin
