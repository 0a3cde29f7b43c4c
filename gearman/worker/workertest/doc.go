// Package workertest runs a handler for unit tests: one job through a real worker and a real
// client, over an in-memory job server. It reports what the handler did and what a client saw of
// it.
//
// It works inside a testing/synctest bubble, and leaves no goroutines behind.
package workertest
