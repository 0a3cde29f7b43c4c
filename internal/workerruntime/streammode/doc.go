// Package streammode sends jobs as messages to processes that keep running: a line of JSON and raw
// bytes on descriptor 3, the answer on descriptor 4 (docs/stream.md has the protocol).
//
// Pool.Run owns all goroutines: one for each process, which starts, watches and replaces it, and
// one more for each that logs what the process prints. A job runs in the goroutine that calls
// Handle, which has the process's descriptors 3 and 4 to itself meanwhile.
package streammode
