// Package lifecycle tests the life of a release on a real cluster: an older chart, an upgrade while
// jobs run, uninstalling, installing again, and uninstalling with everything that belongs to it. It
// removes the CustomResourceDefinition, so make e2e runs it after the other tests, and it refuses a
// cluster on which somebody else has pools.
package lifecycle
