// Package access decides which job servers the pools of a namespace may use. Addresses are checked
// after resolution, just before they are dialed, so that a name cannot be made to resolve to
// another address in between. It is pure and owns no goroutines.
package access
