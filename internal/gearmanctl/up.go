package gearmanctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/internal/cli"
	"github.com/gearman-operator/gearman-operator/internal/local"
)

type upOptions struct {
	fleet     local.Options
	listen    string
	logFormat string
	ui        string
	uiActions bool
}

func upCommand(s streams) *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up POOL.yaml...",
		Short: "Run pools on this machine: processes instead of pods",
		Long: `Run pools on this machine, from the same files that kubectl apply takes: processes are started instead of pods.

A pool with runtime runs the operator's worker runtime with your command; one with command runs that program, which speaks
Gearman itself. Workers are started and stopped as the queue needs. SIGTERM lets them finish their jobs; a second one requeues
the jobs. Changed files are used at once, or on SIGHUP; while they have an error, the pools run as before. If this process
dies, its workers finish their jobs and exit.`,
		Example: "  gearmanctl up pools/*.yaml\n  gearmanctl up pool.yaml --ui",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("name at least one file with a GearmanWorkerPool")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.fleet.Files = args
			return up(cmd.Context(), s, &o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *upOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(
		&o.fleet.StateDir, "state-dir", local.DefaultStateDir(),
		"directory of the state files, which record the running workers and each pool's owner",
	)
	flags.StringVar(
		&o.fleet.SecretsDir, "secrets-dir", "", "directory that stands for Secrets and ConfigMaps: DIR/OBJECT/KEY",
	)
	flags.StringVar(&o.fleet.User, "user", "", "user that runs the workers; empty: the one that runs this command")
	flags.StringVar(
		&o.listen, "listen", "", "address for /metrics, /healthz and /pools, as in 127.0.0.1:9090; empty: off",
	)
	flags.StringVar(&o.ui, "ui", "", "serve a page about the pools, at "+cli.DefaultPage+" or --ui=ADDRESS")
	flags.Lookup("ui").NoOptDefVal = cli.DefaultPage
	cli.AddActionsFlag(cmd, &o.uiActions)
	flags.StringVar(&o.logFormat, "log-format", "text", "format of the log on standard error: text or json")
	// The flag exists: it was defined above.
	_ = cmd.RegisterFlagCompletionFunc(
		"log-format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp),
	)
}

func (o *upOptions) logger(w io.Writer) (*slog.Logger, error) {
	switch o.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, nil)), nil
	}
	return nil, fmt.Errorf("--log-format must be text or json, not %q", o.logFormat)
}

// up runs pools until ctx ends and their workers have drained.
func up(ctx context.Context, s streams, o *upOptions) error {
	out := &lockedWriter{out: s.err}
	log, err := o.logger(out)
	if err != nil {
		return err
	}
	o.fleet.Log, o.fleet.Output = log, out
	if o.fleet.Program == "" {
		if o.fleet.Program, err = os.Executable(); err != nil {
			return fmt.Errorf("find this program, to start workers: %w", err)
		}
	}
	fleet, err := local.New(o.fleet)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	reload, now := make(chan struct{}, 1), make(chan struct{}, 1)
	defer watchSignals(ctx, reload, now)()

	var wg sync.WaitGroup
	defer wg.Wait()
	if o.listen != "" {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.listen)
		if err != nil {
			return fmt.Errorf("--listen: %w", err)
		}
		log.Info("Listening", "address", l.Addr().String())
		server := cli.NewHTTPServer(fleetHandler(fleet))
		wg.Go(func() { _ = server.Serve(l) }) // it ends with Close, below
		defer server.Close()
	}
	if o.ui != "" {
		p := cli.Page{Listen: o.ui, Source: fleet}
		if o.uiActions {
			p.Options.Submit = cli.SubmitTo(poolServers(fleet), nil)
		}
		stopPage, url, err := p.Serve(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		defer stopPage()
		log.Info("The page is served", "url", url)
	}
	return fleet.Run(ctx, reload, now)
}

// watchSignals turns SIGHUP into reload, and signals after ctx has ended into now. The returned
// function ends it.
func watchSignals(ctx context.Context, reload, now chan<- struct{}) (stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	done := make(chan struct{})
	go func() {
		first := true // the signal that ended ctx
		for {
			to := now
			select {
			case <-done:
				return
			case s := <-signals:
				if s == syscall.SIGHUP {
					to = reload
				} else if first || ctx.Err() == nil {
					first = false
					continue
				}
			}
			select {
			case to <- struct{}{}:
			default: // one is waiting already
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

// fleetHandler serves a fleet's endpoints for programs.
func fleetHandler(fleet *local.Fleet) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", fleet.Metrics())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.Handle("GET /pools", jsonHandler(fleet.Snapshot))
	return mux
}

// lockedWriter lets several goroutines write whole lines.
type lockedWriter struct {
	mu  sync.Mutex
	out io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(p)
}
