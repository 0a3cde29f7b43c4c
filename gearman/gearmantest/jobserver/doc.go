// Package jobserver starts real job servers for tests: gearmand, and Perl's Gearman::Server. Each
// listens on a free loopback port, is ended by its process id when the test ends, and fails the
// test with the command that installs it where it is missing.
package jobserver
