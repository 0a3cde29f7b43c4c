// Package backlogtest plays job servers to a [backlog.Watcher], byte by byte as a test has it: what
// a real job server would never send, and what a hostile one would. The tests own the goroutines;
// they end with the test.
package backlogtest
