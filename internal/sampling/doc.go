// Package sampling prepares what the scaling law decides on: it joins the figures of job servers
// with what is known of a pool's pods or processes ([Join]), and asks job servers for verdicts on
// backlogs that may not be runnable ([Verdicts]). The operator and gearmanctl up both use it, so it
// imports no Kubernetes.
//
// It is pure: it owns no goroutine, no lock and no clock.
package sampling
