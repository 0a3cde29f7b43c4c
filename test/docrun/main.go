package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	var o options
	var unmeasured string
	flag.StringVar(&o.file, "file", "docs/quickstart.md", "page whose commands to run")
	flag.StringVar(&o.result, "result", "quickstart_s", "name of the time in the RESULT line")
	flag.StringVar(&unmeasured, "unmeasured", "", "headings, parted by commas, whose commands are run and timed apart")
	flag.StringVar(
		&o.before, "before", "",
		"heading whose commands are run also ahead of the first measured step, whatever becomes of them: the page's clean-up",
	)
	flag.DurationVar(&o.timeout, "timeout", 30*time.Minute, "give up after this time")
	flag.Parse()
	if unmeasured != "" {
		o.unmeasured = strings.Split(unmeasured, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "docrun:", err)
		os.Exit(1)
	}
}
