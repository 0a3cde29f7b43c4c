// Package autoscaler holds everything that the operator knows of each pool, one record for each in
// one registry under one lock, and decides, in memory, how many replicas each pool should have: at
// each tick of the job servers' poller, and when a reconcile brings news of the pool.
//
// It knows no API server. It enqueues a pool for the reconciler only when there is something to
// write, and the reconciler keeps here what it has to remember of a pool. A function that is given
// a record (a *Pool) runs under the registry's lock: it computes, and neither waits nor does I/O.
//
// Autoscaler.Start owns the package's goroutines: the loop that decides, its queue, and those that
// ask job servers about backlogs that may not be runnable. Pool.Decide needs none of them, and no
// clock.
package autoscaler
