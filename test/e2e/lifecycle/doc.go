// Package lifecycle is the life of a release on a real cluster: an older chart, an upgrade with
// work under way, uninstalling, installing again, uninstalling with all that belongs to it. It
// takes the CustomResourceDefinition away, so make e2e runs it when the other tests are done, and
// it refuses a cluster where somebody else has pools.
package lifecycle
