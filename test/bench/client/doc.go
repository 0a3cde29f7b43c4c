// Package client measures the client under stress, on a real gearmand: an outage near full load,
// small calls beside large results, a slow reader of parts, and a job server that refuses
// connections. `make bench-client` runs it.
package client
