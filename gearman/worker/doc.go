// Package worker takes jobs from Gearman job servers and runs them.
//
// A worker has as many slots as jobs that it runs at once (Options.Concurrency). Each slot has one
// connection to each job server, so that a connection never carries more than one job: dropping it
// hands back that job and no other. A slot asks one server at a time for a job and goes round the
// servers that may have one, so no server is favoured and no slot gets two jobs.
//
// Run owns all goroutines: one for each slot, one for each of its connections, one that follows the
// addresses of the servers. It returns when all have ended.
//
// # Stopping
//
// The end of Run's context and Stop mean the same, a soft stop: take no new jobs, tell the servers
// so, finish what runs, close. It goes over into a hard stop (StopAndCancel, or
// Options.DrainTimeout): handlers' contexts are cancelled and the connections dropped, so that the
// servers give the jobs to other workers. Run still waits for the handlers to return.
//
// # What a server must not see
//
// The order of packets keeps to what job servers turned out to need (docs/servers.md): a function
// with a job in flight is never unregistered, PRE_SLEEP follows only a NO_JOB, a sleeping
// connection asks again every so often since wake-ups get lost, and a server that wakes the worker
// for nothing over and over is asked at a bounded rate.
package worker
