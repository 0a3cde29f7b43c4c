// Package frame is the protocol between the worker and a handler in any language: messages of a
// JSON line and raw bytes (docs/stream.md). Stream mode speaks it over descriptors 3 and 4, http
// mode reads an answer in it.
//
// The package owns no goroutine.
package frame
