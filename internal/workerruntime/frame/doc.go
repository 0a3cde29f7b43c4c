// Package frame is the protocol between the worker and a handler in any language: each message is a
// line of JSON and raw bytes (docs/stream.md). Stream mode uses it on descriptors 3 and 4; http
// mode reads an answer in it.
//
// The package owns no goroutine.
package frame
