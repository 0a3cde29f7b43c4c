// Package transport holds what the client, the worker and the admin connection share: addresses and their resolution, dialling with
// TLS, back-off, and the outbox that turns writes of many goroutines into few.
//
// It starts no goroutines of its own.
package transport
