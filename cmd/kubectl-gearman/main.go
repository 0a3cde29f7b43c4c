// Command kubectl-gearman is a kubectl plugin for Gearman's job servers and for the pools of
// gearman-operator: put it into the path and call `kubectl gearman`.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/gearman-operator/gearman-operator/internal/cli"
	"github.com/gearman-operator/gearman-operator/internal/kubectlgearman"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	if err := kubectlgearman.NewCommand(streams).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(cli.Sanitized(os.Stderr), "error:", err)
		os.Exit(1)
	}
}
