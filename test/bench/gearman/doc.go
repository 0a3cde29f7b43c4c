// Package gearman measures the Gearman library on a real gearmand together with two others in the
// same run: a generator on raw sockets that does the least that the protocol allows, and
// libgearman's command line client. `make bench-gearman` runs it and writes a report.
package gearman
