// Package scaling decides how many replicas a pool of Gearman workers should have.
//
// It is pure: Decide takes what the user wants (Policy), what was learnt so far (State), what the
// job servers and pods report (Sample) and the time, and returns a Decision and the next State. It
// reads no clock, starts no goroutine, does no I/O, keeps no global and imports only the standard
// library, so that the simulator (internal/sim) runs the same code as a cluster, and any decision
// can be replayed from its four arguments.
//
// The law in one paragraph. The user gives one number, the target wait: a queued job should start
// within that many seconds. The law learns from the workers' counters how long a job of each
// function takes, and from the pods how long a pod takes to start. It splits the queue by age and
// checks, oldest deadline first, whether the pods that exist or are starting can begin all of it in
// time. It adds pods only for the jobs that they can't begin, and only if waiting for one more poll
// would be too late. Pods are kept for the load of the last minutes, and removed when they have
// been idle for about as long as starting them again would take. docs/scaling-law.md derives the
// formulas and compares them with other autoscalers.
//
// Safety comes before economy: missing information (a job server that doesn't answer, a restart of
// the operator or of a job server) never scales a pool down.
package scaling
