// Package backlog knows how much work waits at the job servers and what the pools' workers do about
// it, for thousands of pools at the price of a few requests a second: one poller a job server,
// whatever the number of pools that use it.
//
// A [Watcher] is told which pools there are ([Watcher.Set], [Watcher.Remove]) and which pods they
// have ([Watcher.SetPods]). It resolves the names of their job servers again and again, since each
// address behind a name is a job server with a queue of its own, keeps a connection to each, asks
// for `status` and `workers`, and answers [Watcher.Sample] from memory. Options.OnTick says which
// pools have news.
//
// What is not known is never zero: an answer that is late, garbled or without its end is no answer,
// the last good one stays and grows stale, and the sample says so.
//
// [Watcher.Run] owns every goroutine of the package: one for each look-up under way, up to three for
// each job server (its poller, its doorbell, a check for load balancers) and one that ticks. Names
// that are not being looked up, and job servers that wait for the next attempt to reach them, have
// none. All of them have ended when it returns. No lock is held over I/O.
//
// It reads rows with gearman/proto rather than lists with gearman/admin: of 10,000 rows it wants a
// few figures each second, in place and without a string for each, and between two polls it listens
// on the connection, so that a lost one is known at once.
//
// The package writes nothing to a job server but questions, the id of its own connection, and,
// where a pool asked for it, the doorbell's abilities; it never grabs a job.
package backlog
