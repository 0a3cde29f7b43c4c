// Command demo shows the main use case end to end on a real cluster: jobs are submitted, the
// operator scales workers up for them, and down again when all jobs are done. make demo runs it,
// and provides the cluster, the images and helm.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gearman-operator/gearman-operator/test/demo/play"
)

func main() {
	var o play.Options
	flag.IntVar(&o.Jobs, "jobs", 500, "how many jobs to submit")
	flag.DurationVar(&o.Shortest, "shortest", 200*time.Millisecond, "how long the shortest job takes")
	flag.DurationVar(&o.Longest, "longest", 2*time.Second, "how long the longest job takes")
	flag.StringVar(&o.Namespace, "namespace", "gearman-demo", "namespace to play in")
	flag.StringVar(&o.Image, "image", "gearman-operator:0.1.0", "the operator's image, known to the cluster")
	flag.StringVar(
		&o.Archive, "archive", "build/image/gearman-operator.tar", "the archive that the image was loaded from",
	)
	flag.StringVar(&o.Reports, "reports", "build/reports", "folder for the report")
	flag.DurationVar(&o.Timeout, "timeout", 10*time.Minute, "give up after this time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := play.Run(ctx, os.Stdout, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}
