// Package report implements the command simulate. It runs one pool against a trace or a generated
// workload and shows the results of each law, or it runs the whole matrix of internal/sim and
// writes the report that docs/scaling-law.md quotes. It contains the plots, so that the simulator
// itself needs only the standard library.
//
// It writes files only below the directory that it is given.
package report
