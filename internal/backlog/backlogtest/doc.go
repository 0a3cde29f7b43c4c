// Package backlogtest plays job servers to a [backlog.Watcher], byte by byte as a test has it: what
// a real job server would never send, and what a hostile one would. gearmantest's server can't stand
// in for it: that answers as a job server does, from jobs and workers that it has, and its faults
// are those of a connection. The tests own the goroutines; they end with the test.
package backlogtest
