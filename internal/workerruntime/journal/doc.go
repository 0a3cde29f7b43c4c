// Package journal remembers which jobs a worker runs beyond its own death, so that a job that kills
// its worker is counted: an out-of-memory kill takes a whole container, and nobody is left to tell
// of it.
//
// A directory holds a file for each worker process that runs in it, locked while the process lives.
// The file is mapped into memory and has a record for each slot; to note a job costs no system
// call, and what is written is there after the death of the process. A new worker takes over a file
// whose worker is gone. The package owns no goroutine.
package journal
