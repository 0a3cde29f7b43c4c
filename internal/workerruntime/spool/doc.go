// Package spool keeps results of any size in bounded memory: the first bytes in a buffer, and
// everything in an unlinked file once there are too many.
//
// The package owns no goroutine.
package spool
