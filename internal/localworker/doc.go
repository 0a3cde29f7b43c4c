// Package localworker is the code of a worker process that internal/local starts: it runs the
// worker runtime, or a program that speaks Gearman itself, and ties its lifetime to the process
// that started it.
//
// The protocol of the two: the worker holds a lock on its state file for as long as it lives; its
// standard input is a pipe that its parent holds open, and it drains when that ends; it writes a
// line to its standard output when it is ready.
//
// [Main] owns all goroutines; they end with the process.
package localworker
