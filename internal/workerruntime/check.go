package workerruntime

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/logs"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
)

// checkTimeout bounds the attempt at each job server.
const checkTimeout = 5 * time.Second

// check prints the effective configuration with the source of each value and tries everything that
// a start would need. It starts no command.
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
	} else if resolver, err := newResolver(o, conf != nil); err != nil {
		report("job servers", err, "")
	} else {
		for _, server := range resolver.Servers {
			for _, r := range tryServers(ctx, server, resolver, admin.Options{TLS: conf}) {
				report("job server "+r.name, r.err, ": version "+r.version)
			}
		}
	}
	if !good {
		return exitFailed
	}
	return exitOK
}

// tried is the result for one job server.
type tried struct {
	name, version string
	err           error
}

// tryServers tries the job servers behind an address as a worker would: those of one address
// family, or those of the other if none of the first can be reached.
func tryServers(ctx context.Context, a gearman.Address, r gearman.Resolver, o admin.Options) []tried {
	lookup, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	found, err := gearman.Resolve(lookup, r, a)
	if err != nil {
		return []tried{{name: a.String(), err: err}}
	}
	first, answered := tryAll(ctx, found.First, o)
	if !answered && len(found.Other) > 0 {
		if other, answered := tryAll(ctx, found.Other, o); answered {
			return other
		}
	}
	return first
}

// tryAll tries job servers, and reports whether any of them answered.
func tryAll(ctx context.Context, servers []gearman.Endpoint, o admin.Options) (all []tried, answered bool) {
	for _, e := range servers {
		version, err := tryServer(ctx, e, o)
		all = append(all, tried{e.String(), version, err})
		answered = answered || err == nil
	}
	return all, answered
}

func tryServer(ctx context.Context, e gearman.Endpoint, o admin.Options) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if o.ServerName == "" {
		o.ServerName = e.Name
	}
	c, err := admin.Dial(ctx, e.Addr, o)
	if err != nil {
		return "", err
	}
	defer c.Close()
	v, err := c.Version(ctx)
	return v.Text, err
}
