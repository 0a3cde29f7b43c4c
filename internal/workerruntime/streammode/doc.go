// Package streammode hands jobs as messages to processes that keep running: a JSON line and raw
// bytes on descriptor 3, the answer on descriptor 4 (docs/stream.md has the protocol).
//
// Pool.Run owns all goroutines: one for each process, that starts it, watches it and replaces it,
// and one more for each that logs what the process prints. A job runs in the goroutine that calls
// Handle, which has the process's descriptors 3 and 4 for itself meanwhile.
package streammode
