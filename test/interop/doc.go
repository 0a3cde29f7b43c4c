// Package interop tries the library against the Gearman libraries that others use: libgearman
// through its CLI (Debian package gearman-tools), php-gearman (php-cli, php-gearman), Perl's
// Gearman::Client and Gearman::Worker (libgearman-client-perl), and gearman and node-gearman of the
// npm registry (only by make test-interop, which installs them). Each is a client of our workers
// and a worker for our clients, over a real gearmand.
//
// What a library lacks, or does in a way of its own, stands in the table of libraries with a
// sentence that says what was seen.
package interop
