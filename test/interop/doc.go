// Package interop tests the library with other Gearman libraries: libgearman through its CLI
// (Debian package gearman-tools), php-gearman (php-cli, php-gearman), Perl's Gearman::Client and
// Gearman::Worker (libgearman-client-perl), and gearman and node-gearman of the npm registry (only
// with make test-interop, which installs them). Each is a client of our workers and a worker for
// our clients, over a real gearmand.
//
// The table of libraries lists what a library lacks or does differently, with a sentence that says
// what was seen.
package interop
