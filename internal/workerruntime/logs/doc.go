// Package logs keeps what a worker writes readable and bounded: it cuts the output of commands into
// lines, and lets through only so many lines a second of any kind, saying how many it left out.
//
// The package owns no goroutine.
package logs
