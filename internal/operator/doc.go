// Package operator assembles the manager: options, cache, the poller of the job servers, the
// Autoscaler, the reconciler, metrics and probes. Run owns everything it starts and returns when
// all of it has ended.
package operator
