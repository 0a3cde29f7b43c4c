// Package kit is what tests of many packages need: certificates that an authority of the test signs,
// a buffer for the log of something that runs, and waiting for a condition. Free ports are those of
// gearman/gearmantest/jobserver, which the library's tests need as well.
package kit
