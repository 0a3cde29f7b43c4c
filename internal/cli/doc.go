// Package cli holds the commands about job servers that need no cluster: status, workers, version,
// submit, cancel, drop, record, simulate, and the page (ui). gearmanctl and the kubectl plugin both
// mount them. The plugin adds names of pods, Services and pools, which it reaches through
// port-forwards, by its own [Commands.Find].
//
// The package owns no goroutines that outlive a command, and it never talks to an API server.
package cli
