// Package transport provides the outbox, which combines the writes of many goroutines into few.
//
// It starts no goroutines of its own.
package transport
