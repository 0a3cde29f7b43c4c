// Command manager is the operator: it autoscales the GearmanWorkerPools of a cluster.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
	_ "time/tzdata" // schedules have time zones, and the image has no zone files

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/gearman-operator/gearman-operator/internal/operator"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "probe" { // helm test
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		exitOn(operator.Probe(ctx, os.Args[2], os.Stdout))
		return
	}
	o, err := operator.Parse("manager", os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(2)
	}
	ctx := ctrl.SetupSignalHandler()
	operator.SetUpLogging(ctx, o)
	cfg, err := ctrl.GetConfig()
	if err == nil {
		err = operator.Run(ctx, cfg, o)
	}
	exitOn(err)
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(1)
	}
}
