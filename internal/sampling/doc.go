// Package sampling prepares the input of the scaling law: it joins the figures of job servers with
// the state of a pool's pods or processes ([Join]), and requests verdicts from job servers on
// backlogs that may not be runnable ([Verdicts]). The operator and gearmanctl up both use it, so it
// imports no Kubernetes.
//
// It is pure: it owns no goroutine, no lock and no clock.
package sampling
