// Package httpmode posts each job to a URL. It speaks HTTP/1.1 over connections that it keeps, one
// for each running job, and writes and reads them in the goroutine that calls Handle. net/http's
// client has two more goroutines for each connection. With them an echo took 32 us instead of 27
// (BenchmarkEcho), and a worker whose Handle used it processed 11,150 jobs a second instead of
// 14,900, with 63 us of processor time for each instead of 42 (make bench-worker at concurrency 16;
// medians of five interleaved rounds).
//
// The package owns no goroutine.
package httpmode
