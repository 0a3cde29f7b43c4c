// Package poolfile reads GearmanWorkerPools from YAML files and checks them as an API server would,
// without one: strictly, with the defaults, bounds and rules of the CRD, and with the same
// messages.
//
// Types, bounds and defaults are taken from the CRD itself. Each of its CEL rules has a twin in Go;
// a test fails for a rule without one, and one table of documents is checked by a real API server
// and by this package.
//
// It owns no goroutines and reads only the files passed to it.
package poolfile
