// Package check is what the library's own tests share beside the testing package: the module has no
// requirements, so that its importers get none from it.
package check
