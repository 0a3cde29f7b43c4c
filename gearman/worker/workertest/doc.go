// Package workertest runs a handler in unit tests: one job through a real worker and a real client,
// with an in-memory job server. It reports what the handler did and what a client saw.
//
// It works inside a testing/synctest bubble, and leaves no goroutines behind.
package workertest
