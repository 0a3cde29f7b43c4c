package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/gearman"
	gearmanclient "github.com/gearman-operator/gearman-operator/gearman/client"
)

type submitOptions struct {
	connect          connectOptions
	servers          []string
	data, file       string
	background       bool
	priority, unique string
	after            time.Duration
	quiet            bool
}

var priorities = map[string]gearman.Priority{"high": gearman.High, "normal": gearman.Normal, "low": gearman.Low}

// Submit is the command that submits a job.
func (c *Commands) Submit() *cobra.Command {
	var o submitOptions
	cmd := &cobra.Command{
		Use:   "submit FUNCTION",
		Short: "Submit a job, and wait for its result",
		Long: `Submit a job, and wait for its result.

The workload is --data, a file (--file), or standard input (--file -); without either it is empty. The result goes to
standard output as it is, progress and warnings go to standard error. With --background it prints the job's handle and
does not wait. The command fails if the job fails.

` + c.Targets,
		Example: c.examples(`  PROGRAM submit reverse --to SERVER --data hello
  PROGRAM submit resize --to gearmand.example.com --file photo.jpg >small.jpg
  PROGRAM submit report --to SERVER --background --priority low --after 1h`),
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.submit(cmd.Context(), args[0], &o)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.servers, "to", nil, "job servers, tried in order")
	flags.StringVar(&o.data, "data", "", "the workload itself")
	flags.StringVarP(&o.file, "file", "f", "", "file with the workload; - is standard input")
	flags.BoolVarP(&o.background, "background", "b", false, "don't wait for the result")
	flags.StringVar(&o.priority, "priority", "normal", "high, normal or low")
	flags.StringVar(
		&o.unique, "unique", "", "unique key: jobs of one function with one key are one job; empty: a random one",
	)
	flags.DurationVar(&o.after, "after", 0, "run the job after this time; needs --background")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "no progress on standard error")
	cmd.MarkFlagsMutuallyExclusive("data", "file")
	if c.DefaultServer == "" {
		// The flag exists: it was defined above.
		_ = cmd.MarkFlagRequired("to")
	}
	o.connect.addFlags(cmd)
	return cmd
}

// check refuses options that don't go together.
func (o *submitOptions) check() error {
	if _, ok := priorities[o.priority]; !ok {
		return fmt.Errorf("--priority must be high, normal or low, not %q", o.priority)
	}
	if o.after != 0 && !o.background {
		return errors.New("--after needs --background: a job that starts later has no client that waits")
	}
	if o.after < 0 {
		return errors.New("--after must not be negative")
	}
	return nil
}

// open opens a connection to each job server of the targets. done, which is never nil, closes them.
func (c *Commands) open(ctx context.Context, targets []string) (addresses []string, done func(), err error) {
	var ends []func()
	done = func() {
		for _, end := range ends {
			end()
		}
	}
	for _, target := range targets {
		found, err := c.Find(ctx, target)
		if err != nil {
			return nil, done, err
		}
		for _, e := range found {
			addr, end, err := e.open(ctx)
			if err != nil {
				return nil, done, err
			}
			ends = append(ends, end)
			addresses = append(addresses, addr)
		}
	}
	return addresses, done, nil
}

// submit sends one job and waits as the options say.
func (c *Commands) submit(ctx context.Context, function string, o *submitOptions) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	payload, err := c.payload(o)
	if err != nil {
		return err
	}

	tlsConfig, err := o.connect.tlsConfig()
	if err != nil {
		return err
	}
	targets, err := c.targets(o.servers)
	if err != nil {
		return err
	}
	addresses, done, err := c.open(ctx, targets)
	defer done()
	if err != nil {
		return err
	}
	if tlsConfig != nil && tlsConfig.ServerName == "" && len(targets) > 0 {
		tlsConfig.ServerName = o.connect.serverNameOf(targets[0])
	}
	client, err := gearmanclient.New(gearmanclient.Options{
		Servers: addresses, Select: gearmanclient.InOrder, TLS: tlsConfig, ConnectTimeout: o.connect.timeout,
		Exceptions: true,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()

	// A job server with a persistent queue keeps one background job for each function and key:
	// without keys, a job replaces the one before.
	task := &gearmanclient.Task{
		Function: function, Payload: payload, Priority: priorities[o.priority],
		Key: gearman.Key(cmp.Or(o.unique, rand.Text())),
	}
	if o.after > 0 {
		task.At = time.Now().Add(o.after)
	}
	if o.background {
		id, err := client.Background(ctx, task)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.Out, id)
		return err
	}
	return c.foreground(ctx, client, task, o.quiet)
}

func (c *Commands) foreground(
	ctx context.Context, client *gearmanclient.Client, task *gearmanclient.Task, quiet bool,
) error {
	// The client calls these from one goroutine, before Do returns.
	var writeErr error
	out := c.Results
	if out == nil {
		out = c.Out
	}
	write := func(data []byte) {
		if _, err := out.Write(data); err != nil && writeErr == nil {
			writeErr = err
		}
	}
	note := func(format string, args ...any) {
		if !quiet {
			fmt.Fprintf(c.ErrOut, format, args...)
		}
	}
	task.OnCreated = func(id gearman.JobID) { note("submitted %s\n", id) }
	task.OnStatus = func(numerator, denominator uint64) { note("progress %d/%d\n", numerator, denominator) }
	task.OnWarning = func(data []byte) { note("warning: %s\n", Printable(string(data))) }
	task.OnData = write
	result, err := client.Do(ctx, task)
	if err != nil {
		return err
	}
	write(result)
	return writeErr
}

func (c *Commands) payload(o *submitOptions) ([]byte, error) {
	switch o.file {
	case "":
		return []byte(o.data), nil
	case "-":
		return io.ReadAll(c.In)
	}
	return os.ReadFile(o.file)
}
