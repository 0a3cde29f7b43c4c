// Package version says which version of the project a binary was built from.
package version

// Version is set when a binary is built, by -ldflags "-X .../internal/version.Version=1.2.3"; in
// any other build it is "dev".
var Version = "dev"
