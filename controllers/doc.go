// Package controllers reconciles GearmanWorkerPools: it gathers what is known of a pool (its spec,
// its Deployment and pods), takes the decision of internal/autoscaler and applies it.
//
// It is the only package that writes pools' status, Deployments and pods. PoolReconciler writes
// each object in one place: the Deployment's template, its replicas (under a field owner of its
// own), the pods' deletion costs and the pool's status. The Autoscaler decides in memory at each
// tick of a job server's poller and only enqueues a pool when there is something to write.
//
// The package starts no goroutine. Nothing here ends a job: pods are removed by lowering replicas,
// never by deleting them.
package controllers
