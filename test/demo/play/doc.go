// Package play is the demo: it sets the stage, submits jobs, watches, counts and reports. It owns
// no goroutine.
package play
