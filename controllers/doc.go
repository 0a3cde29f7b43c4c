// Package controllers reconciles GearmanWorkerPools: it gathers a pool's state (its spec, its
// Deployment and pods), calls internal/autoscaler for a decision and applies it.
//
// It is the only package that writes pools' status, Deployments and pods. PoolReconciler writes
// each object in one place: the Deployment's template, its replicas (with a separate field owner),
// the pods' deletion costs and the pool's status. The Autoscaler decides in memory at each tick of
// a job server's poller and only enqueues a pool when there is something to write.
//
// The package starts no goroutine. It never stops a job: pods are removed by lowering replicas,
// never by deleting them.
package controllers
