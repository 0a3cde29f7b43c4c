// Package options reads a worker's configuration: flags, environment and a YAML file, all described
// by one table (table.go), which the help, the documentation and the checks also come from. A flag
// overrides the environment, which overrides the file, which overrides the default.
//
// The package owns no goroutine.
package options
