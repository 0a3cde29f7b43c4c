//go:build unix

package jobserver

var ListenAndClose = listenAndClose
