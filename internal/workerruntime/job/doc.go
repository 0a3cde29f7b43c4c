// Package job holds what the three ways of running a job (execmode, streammode, httpmode) have in
// common: what a job is to them, and which outcomes it can have. It knows nothing of Gearman's
// packets, so each mode is tested without a job server.
//
// The package owns no goroutine.
package job
