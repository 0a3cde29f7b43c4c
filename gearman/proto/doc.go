// Package proto is the wire codec of Gearman: every packet of the binary protocol in both
// directions, and the rows of the text (admin) protocol.
//
// Encoders append to a slice and return it. Decoders read from a slice, allocate nothing, and
// return slices of their input. Lengths are checked against a limit before memory is allocated for
// them, and memory for a packet grows only as its bytes arrive. If the stream ends between two
// packets, the error is io.EOF; if it ends in the middle of one, the error is io.ErrUnexpectedEOF.
//
// The package knows only the format: gearman/client and gearman/worker decide what to send when. It
// starts no goroutines. Encoders don't check arguments for NUL bytes, since they run once per job:
// check names with [CheckFunction], [CheckUnique] and [CheckHandle] when they enter a program.
package proto
