package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

type recordOptions struct {
	connect            connectOptions
	functions          []string
	duration, interval time.Duration
	jobTime            time.Duration
	file               string
}

// Record is the command that records a trace.
func (c *Commands) Record() *cobra.Command {
	var o recordOptions
	cmd := &cobra.Command{
		Use:   "record" + c.serverUse() + " --function FUNCTION",
		Short: "Record a trace of arriving jobs from job servers, for simulate",
		Long: `Record a trace of arriving jobs from job servers, for simulate.

A job server reports how many jobs it has, not how many arrived. Workers with telemetry (those of the operator's runtime) report
how many ended meanwhile and how long they took; without any, give --job-time, and the number is estimated from the running jobs.
Recording only sends the commands "status" and "workers"; interrupting it writes what was recorded until then.

` + c.Targets,
		Args: c.serverArgs(),
		RunE: func(cmd *cobra.Command, args []string) error { return c.record(cmd.Context(), args, &o) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.functions, "function", nil, "functions to record")
	flags.DurationVar(&o.duration, "duration", 10*time.Minute, "how long to record")
	flags.DurationVar(&o.interval, "interval", time.Second, "time between two polls")
	flags.DurationVar(&o.jobTime, "job-time", 0, "how long a job takes, if no worker reports it")
	flags.StringVarP(&o.file, "file", "f", "", "file to write; empty: standard output")
	o.connect.addFlags(cmd)
	// The flag exists: it was defined above.
	_ = cmd.MarkFlagRequired("function")
	return cmd
}

func (o *recordOptions) check() error {
	switch {
	case o.interval < 100*time.Millisecond:
		return fmt.Errorf("--interval must be at least 100ms, not %s", o.interval)
	case o.duration < o.interval:
		return errors.New("--duration must not be shorter than --interval")
	case o.duration > 30*24*time.Hour:
		return errors.New("--duration must be at most 720h")
	case o.jobTime < 0:
		return errors.New("--job-time must not be negative")
	}
	return nil
}

func (c *Commands) record(ctx context.Context, targets []string, o *recordOptions) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	conns, done, err := c.dialAll(ctx, targets, &o.connect)
	if err != nil {
		return err
	}
	defer done()

	out := c.Out
	if o.file != "" {
		file, err := os.Create(o.file)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		out = file
	}
	t := newTracer(o.functions, o.jobTime.Seconds())
	lookErr := watch(ctx, conns, t, o.duration, o.interval)
	// What was recorded is written, whatever ended the recording.
	return errors.Join(lookErr, c.finish(t, out))
}

func (c *Commands) finish(t *tracer, out io.Writer) error {
	if err := t.write(out); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.ErrOut, "recorded %d jobs\n", t.jobs())
	return err
}

// watch polls the job servers until the time is over or ctx ends.
func watch(ctx context.Context, conns []*admin.Conn, t *tracer, duration, interval time.Duration) error {
	begin := time.Now()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		at := time.Since(begin)
		now, reports, err := poll(ctx, conns)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		t.observe(at, now, reports)
		if at+interval > duration {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// poll polls every job server once. A partial answer would look like jobs that ended, so one
// failure fails the whole poll.
func poll(ctx context.Context, conns []*admin.Conn) (map[string]backlogOf, []telemetry.Report, error) {
	now := map[string]backlogOf{}
	var reports []telemetry.Report
	for _, conn := range conns {
		functions, err := conn.Status(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", conn.Addr(), err)
		}
		for _, f := range functions {
			sum := now[f.Function]
			now[f.Function] = backlogOf{addCount(sum.total, f.Total), addCount(sum.running, uint64(max(0, f.Running)))}
		}
		workers, err := conn.Workers(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", conn.Addr(), err)
		}
		for _, w := range workers {
			if r, err := telemetry.Parse([]byte(w.ID)); err == nil { // any other ID is no telemetry
				reports = append(reports, r)
			}
		}
	}
	return now, reports, nil
}

// dialAll connects to every job server that the targets name; done closes the connections and their
// port-forwards.
func (c *Commands) dialAll(
	ctx context.Context, targets []string, o *connectOptions,
) (conns []*admin.Conn, done func(), err error) {
	var closers []func()
	done = func() {
		for _, conn := range conns {
			_ = conn.Close() // it was only read from
		}
		for _, f := range closers {
			f()
		}
	}
	tlsConfig, err := o.tlsConfig()
	if err != nil {
		return nil, nil, err
	}
	if targets, err = c.targets(targets); err != nil {
		return nil, nil, err
	}
	for _, target := range targets {
		found, err := c.Find(ctx, target)
		if err != nil {
			done()
			return nil, nil, err
		}
		for _, e := range found {
			addr, closeForward, err := e.open(ctx)
			if err != nil {
				done()
				return nil, nil, fmt.Errorf("%s: %w", e.Name, err)
			}
			closers = append(closers, closeForward)
			conn, err := admin.Dial(ctx, addr, admin.Options{
				TLS: tlsConfig, Timeout: o.timeout, ConnectTimeout: o.timeout, ServerName: o.serverNameOf(target),
			})
			if err != nil {
				done()
				return nil, nil, fmt.Errorf("%s: %w", e.Name, err)
			}
			conns = append(conns, conn)
		}
	}
	return conns, done, nil
}
