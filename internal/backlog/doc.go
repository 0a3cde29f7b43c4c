// Package backlog measures how many jobs are queued at the job servers and what the pools' workers
// do about them, for thousands of pools at the price of a few requests a second: one poller for
// each job server, whatever the number of pools that use it.
//
// A [Watcher] gets the pools ([Watcher.Set], [Watcher.Remove]) and their pods ([Watcher.SetPods]).
// It resolves the names of their job servers periodically, since each address behind a name is a
// job server with a queue of its own, keeps a connection to each, requests `status` and `workers`,
// and serves [Watcher.Sample] from memory. Options.OnTick gets the pools with news.
//
// Missing data is never zero: an answer that is late, garbled or incomplete is no answer, the last
// good one stays and becomes stale, and the sample reports it.
//
// [Watcher.Run] owns every goroutine of the package: one for each look-up under way, up to three
// for each job server (its poller, its doorbell, a check for load balancers) and one that ticks.
// Names between two look-ups, and job servers between two attempts to connect, have none. All of
// them have ended when it returns. No lock is held during I/O.
//
// It reads rows with gearman/proto rather than lists with gearman/admin: of 10,000 rows it needs a
// few figures each second, in place and without a string for each, and between two polls it reads
// from the connection, so that a lost one is noticed at once.
//
// The package sends a job server only requests, the ID of its own connection, and, if a pool has a
// doorbell, the doorbell's abilities; it never grabs a job.
package backlog
