// Package jobserver starts real job servers for tests: gearmand, and Perl's Gearman::Server. Each
// listens on a free loopback port, and is stopped by its process id when the test ends. If its
// program is missing, the test fails with the command that installs it.
package jobserver
