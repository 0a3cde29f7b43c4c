// Package kubectlgearman is the kubectl plugin: it shows job servers (status, workers, version),
// submits jobs, explains the operator's decisions on a pool, pauses, resumes and scales pools, and
// shows all pools live.
//
// Job servers are reached directly or, inside a cluster, through port-forwards that the plugin
// opens and closes by itself. Pools are read and changed with the caller's own rights; the plugin
// only reads the operator's metrics port.
//
// The package owns the goroutines of its port-forwards: closing a connection waits for them.
package kubectlgearman
