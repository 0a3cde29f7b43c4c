// Package controllers reconciles GearmanWorkerPools: it gathers what is known of a pool (its spec,
// its Deployment and pods, the samples of internal/backlog), takes the decision of internal/scaling
// and applies it.
//
// It is the only package that writes to the API server. PoolReconciler writes each object in one
// place: the Deployment's template, its replicas (under a field owner of its own), the pods'
// deletion costs and the pool's status. Autoscaler decides in memory at each tick of a job server's
// poller and only enqueues a pool when there is something to write.
//
// The Autoscaler's loop is owned by the manager that it is added to; the package starts no other
// goroutine. Nothing here ends a job: pods are removed by lowering replicas, never by deleting
// them.
package controllers
