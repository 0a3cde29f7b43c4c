// Command gearmanctl runs pools of Gearman workers on this machine without a cluster, and talks to
// job servers.
package main

import (
	"os"
	_ "time/tzdata" // schedules have time zones

	"github.com/gearman-operator/gearman-operator/internal/gearmanctl"
)

func main() {
	os.Exit(gearmanctl.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
