// Package kit has what tests of many packages need: certificates signed by a test's own authority,
// a buffer for the log of something that runs, and waiting for a condition. Free ports come from
// gearman/gearmantest/jobserver, since the library's tests need them as well.
package kit
