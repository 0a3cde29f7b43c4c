// Command simulate shows how a pool would be scaled: a pool's manifest against a recorded or made workload, beside other autoscalers.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	_ "time/tzdata" // schedules have time zones

	"github.com/gearman-operator/gearman-operator/internal/sim/report"
)

func main() {
	o, err := report.Parse("simulate", os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(2)
	}
	if err := report.Run(o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}
