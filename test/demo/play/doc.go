// Package play is the demo: it sets up the cluster, submits jobs, watches, counts and reports. It
// owns no goroutine.
package play
