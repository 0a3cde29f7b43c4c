// Package docs has no code: its tests hold the documentation, and what it tells readers to copy, to
// the code.
package docs
