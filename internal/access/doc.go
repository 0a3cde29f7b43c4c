// Package access says which job servers the pools of a namespace may use. Addresses are checked
// after resolution, just before they are dialled, so that a name cannot be made to lead somewhere
// else in between. It is pure and owns no goroutines.
package access
