// Package poolrow is one line about a pool, as `kubectl gearman top` shows it and as the operator
// serves it at /pools.
//
// It is pure: it reads a pool and uses no cluster.
package poolrow
