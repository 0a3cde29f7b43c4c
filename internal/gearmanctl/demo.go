package gearmanctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/internal/local"
	"github.com/gearman-operator/gearman-operator/internal/page"
)

// demoPool is the demo's pool. Each job reports its start, takes 0.3 s, and reverses its line.
const demoPool = `apiVersion: gearman.dev/v1alpha1
kind: GearmanWorkerPool
metadata:
  name: reverse
spec:
  servers: [%q]
  function: reverse
  runtime:
    exec:
      command: [sh, -c, "echo status 0/1 >&3; sleep 0.3; rev"]
  minReplicas: 0
  maxReplicas: 20
  scaling:
    targetWaitSeconds: 5
    pollSeconds: 1
    idleSeconds: 2
`

type demoOptions struct {
	jobs    int
	timeout time.Duration
	result  bool
	build   time.Duration
	fleet   local.Options // for tests
}

func demoCommand(s streams) *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See a pool work: a job server, 300 jobs, workers from zero to zero",
		Long: `See a pool work, in under a minute: a job server in memory, a pool without workers, and jobs that come in three waves. Workers
are started as the queue needs, and stop when there is nothing to do. Nothing is left behind.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return demo(cmd.Context(), s.out, &o) },
	}
	flags := cmd.Flags()
	flags.IntVar(&o.jobs, "jobs", 300, "number of jobs")
	flags.DurationVar(&o.timeout, "timeout", 3*time.Minute, "how long the demo may take")
	flags.BoolVar(&o.result, "result", false, "end with a line RESULT {json}, for scripts")
	flags.DurationVar(&o.build, "build-time", 0, "time that building this program took, for --result")
	return cmd
}

// demoRun is one run of the demo.
type demoRun struct {
	o      *demoOptions
	out    io.Writer
	began  time.Time
	client *client.Client
	fleet  *local.Fleet

	mu     sync.Mutex
	waits  []time.Duration // from submitting a job to its start
	done   int
	failed []error
	peak   int
	shown  string
}

func demo(ctx context.Context, out io.Writer, o *demoOptions) (err error) {
	if o.jobs < 1 || o.jobs > 100_000 {
		return fmt.Errorf("--jobs must be from 1 to 100000, not %d", o.jobs)
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	d := &demoRun{o: o, out: out, began: time.Now()}
	server, err := demoServer()
	if err != nil {
		return err
	}
	defer server.Close()
	dir, err := os.MkdirTemp("", "gearmanctl-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	manifest := fmt.Sprintf(demoPool, server.Addr())
	if d.client, err = client.New(client.Options{Servers: []string{server.Addr()}}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.client.Close()) }()
	stop, err := d.start(ctx, dir, manifest)
	if err != nil {
		return err
	}
	fmt.Fprintf(
		out, "A job server listens on %s, and a pool has no workers yet. %d jobs of 0.3 s come in three waves.\n\n",
		server.Addr(), o.jobs,
	)
	fmt.Fprintf(out, "%6s %8s %8s %8s %10s\n", "TIME", "QUEUED", "RUNNING", "WORKERS", "COMPLETED")
	err = d.play(ctx)
	err = errors.Join(err, stop())
	if err != nil {
		return err
	}
	d.next(manifest, server.Addr())
	return d.report()
}

// demoServer is a job server on Gearman's own port, if it is free.
func demoServer() (*gearmantest.Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:4730")
	if err != nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("find a port for the job server: %w", err)
		}
	}
	return gearmantest.NewServer(gearmantest.Options{Listener: l, HandlePrefix: "H:demo"}), nil
}

// start runs the pool. stop ends it and waits for its workers.
func (d *demoRun) start(ctx context.Context, dir, manifest string) (stop func() error, err error) {
	file := filepath.Join(dir, "pool.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		return nil, err
	}
	o := d.o.fleet
	o.Files, o.StateDir = []string{file}, filepath.Join(dir, "state")
	o.Log, o.Output = slog.New(slog.DiscardHandler), io.Discard
	if o.Program == "" {
		if o.Program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	if d.fleet, err = local.New(o); err != nil {
		return nil, err
	}
	// The workers drain even if the demo is interrupted.
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.fleet.Run(ctx, nil, nil) }()
	return func() error {
		cancel()
		return <-ended
	}, nil
}

// play submits the jobs and shows the pool, until all jobs and all workers have ended.
func (d *demoRun) play(ctx context.Context) error {
	var jobs sync.WaitGroup
	jobs.Go(func() { d.submit(ctx, &jobs) })
	ended := make(chan struct{})
	go func() {
		jobs.Wait()
		close(ended)
	}()
	over := false
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-ended:
			ended, over = nil, true
		case <-tick.C:
		}
		if ctx.Err() != nil { // this ends the jobs too
			jobs.Wait()
			return fmt.Errorf(
				"the demo was interrupted after %s: %w", time.Since(d.began).Round(time.Second), ctx.Err(),
			)
		}
		p, err := d.pool(ctx)
		if err != nil {
			return err
		}
		d.show(p)
		if over && len(p.Workers) == 0 {
			return nil
		}
	}
}

func (d *demoRun) pool(ctx context.Context) (page.Pool, error) {
	s, err := d.fleet.Snapshot(ctx)
	if err != nil || len(s.Pools) == 0 {
		return page.Pool{}, err
	}
	return s.Pools[0], nil
}

// show prints a line when something has changed, at most one for each second.
func (d *demoRun) show(p page.Pool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.peak = max(d.peak, len(p.Workers))
	second := int(time.Since(d.began).Seconds())
	figures := fmt.Sprintf("%8d %8d %8d %10d", p.Queued, p.Running, len(p.Workers), d.done)
	line := fmt.Sprintf("%5ds %s  %s\n", second, figures, strings.Repeat("#", len(p.Workers)))
	if last, lastSecond, _ := strings.Cut(d.shown, "@"); last == figures || lastSecond == fmt.Sprint(second) {
		return
	}
	d.shown = fmt.Sprintf("%s@%d", figures, second)
	_, _ = io.WriteString(d.out, line)
}

// submit submits half of the jobs at once, a third evenly over ten seconds, and the rest at once.
func (d *demoRun) submit(ctx context.Context, jobs *sync.WaitGroup) {
	first, second := d.o.jobs/2, d.o.jobs/3
	for i := range d.o.jobs {
		jobs.Go(func() { d.job(ctx, i) })
		if i >= first && i < first+second {
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Second / time.Duration(second)):
			}
		}
	}
}

// job runs one job and checks its result.
func (d *demoRun) job(ctx context.Context, i int) {
	submitted, started := time.Now(), time.Time{}
	text := fmt.Sprintf("job %d", i)
	result, err := d.client.Do(ctx, &client.Task{
		Function: "reverse",
		Payload:  []byte(text + "\n"),
		OnStatus: func(uint64, uint64) {
			if started.IsZero() {
				started = time.Now()
			}
		},
	})
	want := []byte(text)
	slices.Reverse(want)
	if err == nil && string(result) != string(want)+"\n" {
		err = fmt.Errorf("job %d has the result %q", i, result)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.failed = append(d.failed, err)
		return
	}
	d.done++
	if !started.IsZero() {
		d.waits = append(d.waits, started.Sub(submitted))
	}
}

// next suggests what to try next.
func (d *demoRun) next(manifest, addr string) {
	listen := ""
	if addr != "127.0.0.1:4730" {
		listen = " --listen " + addr
	}
	to := ""
	if listen != "" {
		to = " --to " + addr
	}
	fmt.Fprintf(d.out, `
%d of %d jobs completed; there were up to %d workers, and there are none now. This was the pool:

%s
Save it as pool.yaml and go on, each command in a terminal of its own:

  gearmanctl serve%s
  gearmanctl up pool.yaml --ui
  gearmanctl submit reverse%s --data hello
`, d.done, d.o.jobs, d.peak, manifest, listen, to)
}

// report prints the figures, and fails if a job did.
func (d *demoRun) report() error {
	slices.Sort(d.waits)
	p99 := 0.0
	if n := len(d.waits); n > 0 {
		p99 = d.waits[min(n-1, n*99/100)].Seconds()
	}
	if d.o.result {
		final, err := d.pool(context.Background())
		if err != nil {
			return err
		}
		fmt.Fprintf(d.out, "RESULT {\"build_s\":%.1f,\"jobs\":%d,\"jobs_completed\":%d,\"jobs_lost\":%d,\"peak_processes\":%d,\"final_processes\":%d,\"wait_p99_s\":%.2f,\"total_s\":%.1f}\n",
			d.o.build.Seconds(), d.o.jobs, d.done, d.o.jobs-d.done, d.peak, len(final.Workers), p99, (d.o.build +
				time.Since(d.began)).Seconds())
	}
	return errors.Join(d.failed...)
}
