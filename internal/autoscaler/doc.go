// Package autoscaler holds the operator's state of each pool, one record for each in one registry
// under one lock, and decides, in memory, how many replicas each pool should have: at each tick of
// the job servers' poller, and when a reconcile has changed the pool's record.
//
// It does not use the API server. It enqueues a pool for the reconciler only when there is
// something to write, and the reconciler keeps its state of a pool here. A function that gets a
// record (a *Pool) runs under the registry's lock: it computes, and neither waits nor does I/O.
//
// Autoscaler.Start owns the package's goroutines: the loop that decides, its queue, and those that
// probe job servers for backlogs that may not be runnable. Pool.Decide needs none of them, and no
// clock.
package autoscaler
