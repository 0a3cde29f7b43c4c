//go:build !linux || portable

package process

// DropChildSignals does nothing here: a signal that nobody asks for costs little.
func DropChildSignals() {}
