// Package options reads what a worker is to do: flags, environment and a YAML file, all described
// by one table (table.go), from which the help, the documentation and the checks come as well. A
// flag wins over the environment, that over the file, that over the default.
//
// The package owns no goroutine.
package options
