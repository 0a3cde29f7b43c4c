// Package report is what the command simulate does: it plays one pool against a trace or a made
// workload and shows how each law fares, or it plays the whole matrix of internal/sim and writes
// the report that docs/scaling-law.md quotes. It owns the plots, so that the simulator itself needs
// only the standard library.
//
// It writes files only below the directory it is given.
package report
