package workerruntime

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/logs"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
)

// checkTimeout bounds each job server's try.
const checkTimeout = 5 * time.Second

// check prints the effective configuration with the source of each value and tries what a start would need. It starts no command.
func check(ctx context.Context, o *options.Options, w io.Writer) int {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	last := 0
	for _, s := range o.Settings {
		if s.Handler != last {
			last = s.Handler
			fmt.Fprintf(tw, "\nhandler %d\n", s.Handler)
		}
		fmt.Fprintf(tw, "  %s\t%s\t(%s)\n", s.Name, s.Value, s.Source)
	}
	_ = tw.Flush()
	fmt.Fprintln(w)
	good := true
	report := func(what string, err error, detail string) {
		if err != nil {
			good = false
			fmt.Fprintf(w, "FAILED  %s: %v\n", what, err)
			return
		}
		fmt.Fprintf(w, "ok      %s%s\n", what, detail)
	}
	discard := slog.New(slog.DiscardHandler)
	for i, h := range o.Handlers {
		made, err := newHandler(o, h, discard, logs.NewLimit(0, 0, time.Now), process.NewTable())
		if err == nil {
			made.close()
		}
		report(fmt.Sprintf("handler %d (%s)", i+1, h.Mode), err, "")
	}
	report("spool directory "+o.SpoolDir, trySpool(o), "")
	conf, err := tlsConfig(o)
	if err != nil {
		report("TLS", err, "")
	} else {
		for _, server := range o.Servers {
			version, err := tryServer(ctx, server, admin.Options{TLS: conf})
			report("job server "+server, err, ": version "+version)
		}
	}
	if !good {
		return exitFailed
	}
	return exitOK
}

func tryServer(ctx context.Context, server string, o admin.Options) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	c, err := admin.Dial(ctx, server, o)
	if err != nil {
		return "", err
	}
	defer c.Close()
	v, err := c.Version(ctx)
	return v.Text, err
}
