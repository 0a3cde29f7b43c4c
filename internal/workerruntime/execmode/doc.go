// Package execmode runs one process for each job: the workload on its standard input, the result
// from its standard output, its standard error to the log, progress as lines on descriptor 3, and
// the outcome from the exit code.
//
// A job runs wholly in the goroutine that calls Handle, which waits for its pipes and its process
// at once: for a short while in a system call, then via an epoll set in the runtime's poller. So
// there is no copying goroutine to wait for, and nothing else can keep a job open: not a child that
// never reads, and not a grandchild that holds a pipe. The package owns no goroutine.
package execmode
