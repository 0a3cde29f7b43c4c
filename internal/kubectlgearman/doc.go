// Package kubectlgearman is the kubectl plugin: it looks at job servers (status, workers, version),
// submits jobs, explains what the operator decided for a pool, pauses, resumes and scales pools,
// and shows all pools live.
//
// Job servers are reached directly or, inside a cluster, through port-forwards that the plugin
// makes and ends by itself. Pools are read and changed with the caller's own rights; the plugin
// never speaks to the operator but to read its metrics.
//
// The package owns the goroutines of its port-forwards: closing a connection waits for them.
package kubectlgearman
