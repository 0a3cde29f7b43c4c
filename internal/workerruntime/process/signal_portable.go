//go:build !linux || portable

package process

// DropChildSignals does nothing here: a signal that nothing waits for costs little.
func DropChildSignals() {}
