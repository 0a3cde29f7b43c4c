// Package check has the helpers that the library's own tests share, in addition to the testing
// package. The module has no requirements, so that its importers get none from it.
package check
