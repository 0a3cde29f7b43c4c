// Package diagnosis turns the status of a pool into problems that a person can act on: what is
// wrong, why, and what to try. The plugin's commands and the web page show them.
//
// It is pure: it reads a pool and the time, and uses no cluster and no job server. To describe
// another condition, add an entry to the table of advice.
package diagnosis
