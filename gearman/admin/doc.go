// Package admin speaks the text protocol of Gearman job servers over a persistent connection: it
// lists the queues and the workers, and sends the commands that change a job server.
//
// Each call has a deadline. A truncated or garbled response is an error, never a short list. After
// each command that returns rows, the connection sends an ECHO_REQ, and reads as the response
// everything before its echo. A function named like the closing "." can thus neither end a list
// early nor shift the responses to later commands. After an error that leaves the state of the
// connection in doubt, the connection is closed, and each later call returns an error for that
// reason.
//
// The package starts no goroutines and sends only what it was asked to send. "drop function" leaves
// jobs dangling on gearmand, and "prioritystatus" and "show jobs" block the whole job server for a
// time proportional to its jobs: see docs/servers.md before calling them often.
package admin
