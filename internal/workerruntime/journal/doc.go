// Package journal records which jobs a worker runs in a form that survives the worker, so that a
// job that kills its worker is counted: an out-of-memory kill takes a whole container, and nothing
// is left in it that could report the job.
//
// A directory holds a file for each worker process that runs in it, locked while the process lives.
// The file is mapped into memory and has a record for each slot. Recording a job needs no system
// call, and what is written survives the process. A new worker takes over the file of a dead one.
// The package owns no goroutine.
package journal
