// Package docs has no code: its tests check the documentation, and what it tells readers to copy,
// against the code.
package docs
