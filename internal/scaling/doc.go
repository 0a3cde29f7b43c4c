// Package scaling decides how many replicas a pool of Gearman workers should have.
//
// It is pure: Decide takes what the user wants (Policy), what was learnt so far (State), what the
// job servers and pods say (Sample) and the time, and gives back a Decision and the next State. It
// reads no clock, starts no goroutine, does no I/O, keeps no global and imports only the standard
// library, so that the simulator (internal/sim) drives the very code that runs in a cluster, and
// any decision can be replayed from its four arguments.
//
// The law in one paragraph. The user gives one number, the target wait: a queued job should start
// within so many seconds. From the counters of the workers it learns how long a job of each
// function takes, from the pods how long one takes to start. It splits the queue by age and asks,
// oldest deadline first, whether the pods that exist or are starting can begin all of it in time;
// only what they can't is grown for, and only when waiting for one more poll would be too late.
// Pods are held for the load of the last minutes, and let go when they were idle for about as long
// as starting them anew would take. docs/scaling-law.md derives the formulas and shows how they
// compare with other autoscalers.
//
// Safety comes before economy: what is unknown (a job server that doesn't answer, a restart of the
// operator or of a job server) never makes a pool smaller.
package scaling
