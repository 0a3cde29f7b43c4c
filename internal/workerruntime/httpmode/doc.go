// Package httpmode posts each job to a URL. It speaks HTTP/1.1 over connections that it keeps, one
// for each job at work, and writes and reads them in the goroutine that calls Handle: net/http's
// client would add two goroutines to each connection and twice the time to each small job, for
// proxies, redirects and cookies that a job never needs. BenchmarkEcho measures both.
//
// The package owns no goroutine.
package httpmode
