package interop

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// npmLibraries are the libraries of the npm registry, if INTEROP_NPM is a folder in which `npm ci`
// has installed testdata/npm. make test-interop installs it, and fails if it can't. An ordinary
// test run leaves them out, since it would depend on the registry.
func npmLibraries() []library {
	dir := os.Getenv("INTEROP_NPM")
	if dir == "" {
		return nil
	}
	command := func(file string, s *jobserver.Server, args ...string) []string {
		host, port, _ := strings.Cut(s.Addr, ":")
		node := []string{
			"env", "NODE_PATH=" + filepath.Join(dir, "node_modules"), "NODE_NO_WARNINGS=1", "node",
			"testdata/npm/" + file,
		}
		return append(append(node, args[0], host, port), args[1:]...)
	}
	of := func(file string) (
		func(*jobserver.Server, string, string, string) []string, func(*jobserver.Server) []string,
	) {
		return func(s *jobserver.Server, kind, function, unique string) []string {
				return command(file, s, "client", kind, function, unique)
			}, func(s *jobserver.Server) []string {
				return command(file, s, "worker")
			}
	}
	full := library{name: "npm's gearman"}
	full.client, full.worker = of("gearman.js")
	simple := library{name: "npm's node-gearman", lacks: map[feature]string{
		events:     "a status, a warning and the result's parts are not told from each other",
		exceptions: "it does not know WORK_EXCEPTION: a job that ends with one never ends for it",
		background: "it shows no handle of a background job",
		submits:    "it puts a NUL behind the payload of a background job",
		progress:   "its worker can send data only",
		throws:     "its worker has no exceptions",
		uniqueTold: "its worker grabs with GRAB_JOB, which tells no key",
	}}
	simple.client, simple.worker = of("node-gearman.js")
	return []library{full, simple}
}
