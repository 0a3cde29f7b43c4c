// Package proto is the wire codec of Gearman: every packet of the binary protocol in both
// directions, and the rows of the text (admin) protocol.
//
// Encoders append to a slice and return it; decoders work on a slice, allocate nothing, and return
// slices of their input. Lengths are checked against a limit before memory is taken for them, and
// memory for a packet grows only as its bytes arrive. An end of the stream between two packets is
// io.EOF, in the middle of one it is io.ErrUnexpectedEOF.
//
// The package knows the format, not the conversation: what may be sent when is the business of
// gearman/client and gearman/worker. It starts no goroutines. Encoders don't look for NUL bytes in
// arguments, since they run once per job: check names with [CheckFunction], [CheckUnique] and
// [CheckHandle] where they enter a program.
package proto
