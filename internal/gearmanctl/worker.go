package gearmanctl

import (
	"io"

	"github.com/gearman-operator/gearman-operator/internal/localworker"
)

// runWorker is the command that up starts for each process of a pool.
func runWorker(args []string, in io.Reader, out, errs io.Writer) int {
	return localworker.Main(args, in, out, errs)
}
