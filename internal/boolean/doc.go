// Package boolean makes numbers of booleans, for metrics and orders. It has no state and starts no
// goroutine.
package boolean
