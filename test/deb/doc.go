// Package deb has no code: its test builds the Debian package of gearmanctl and gearman-worker and
// checks its contents.
package deb
