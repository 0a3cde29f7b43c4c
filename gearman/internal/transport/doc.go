// Package transport holds the outbox that turns writes of many goroutines into few.
//
// It starts no goroutines of its own.
package transport
