// Package library shows how a program gets metrics and traces of its Gearman client and worker: one
// page of code for Prometheus, one for OpenTelemetry. Copy what you need; the library itself
// depends on neither.
package library
