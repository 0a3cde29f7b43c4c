// Package logs keeps a worker's log readable and bounded: it cuts the output of commands into
// lines, and lets only a limited number of lines of each kind through a second. It logs how many it
// left out.
//
// The package owns no goroutine.
package logs
