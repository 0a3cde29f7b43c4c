// Command gearman-worker turns any command, long-lived process or HTTP service into a Gearman
// worker.
package main

import (
	"os"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime"
)

func main() {
	os.Exit(workerruntime.Main(os.Args[1:], os.Stdout, os.Stderr))
}
