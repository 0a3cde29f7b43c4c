// Package poolfile reads GearmanWorkerPools from YAML files and checks them as an API server would,
// without one: strictly, with the defaults, bounds and rules of the CRD, and with the same
// messages.
//
// Types, bounds and defaults are taken from the CRD itself. Its CEL rules have a twin in Go each; a
// test fails for a rule without one, and one table of documents runs against a real API server and
// against this package.
//
// It owns no goroutines and reads nothing but the files it is given.
package poolfile
