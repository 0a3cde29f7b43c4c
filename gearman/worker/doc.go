// Package worker takes jobs from Gearman job servers and runs them.
//
// A worker has one slot for each job that it can run at a time (Options.Concurrency). Each slot has
// one connection to each job server, so a connection never carries more than one job, and dropping
// it requeues only that job. A slot polls one job server at a time, and takes turns among the job
// servers that may have a job. So no job server is favored, and no slot gets two jobs.
//
// Run owns all goroutines: one for each slot, one for each of its connections, and one that follows
// the addresses of the job servers. It returns when all have ended.
//
// # Stopping
//
// The end of Run's context and Stop both begin a soft stop: the worker takes no new jobs, tells the
// job servers so, finishes the running jobs, and closes its connections. StopAndCancel, or the end
// of Options.DrainTimeout, makes it a hard stop: handlers' contexts are canceled and the
// connections dropped, so that the job servers give the jobs to other workers. Run still waits for
// the handlers to return.
//
// # The order of packets
//
// The order of packets avoids known problems of job servers (docs/servers.md). A function with a
// job in flight is never unregistered. PRE_SLEEP is sent only after a NO_JOB. A sleeping connection
// polls from time to time, since wake-ups can be lost. A job server that keeps waking the worker
// for nothing is polled at a bounded rate.
package worker
