package workerruntime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/gearman-operator/gearman-operator/internal/version"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
)

// The exit codes, as described in the help.
const (
	exitOK       = 0 // stopped as asked, all jobs finished
	exitFailed   = 1
	exitUsage    = 2
	exitRequeued = 3 // stopped as asked, jobs were requeued unfinished or their outcomes could not be sent
)

// Main is the program; it returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	command := "help"
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	usage := func(err error) int {
		fmt.Fprintln(stderr, "gearman-worker:", err)
		return exitUsage
	}
	switch command {
	case "help", "-h", "--help":
		_, _ = io.WriteString(stdout, options.Overview())
		return exitOK
	case "version", "--version":
		fmt.Fprintf(
			stdout, "gearman-worker %s (%s, %s/%s)\n", version.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH,
		)
		return exitOK
	case "install":
		if len(args) != 1 {
			return usage(errors.New("install takes the directory to copy this program into"))
		}
		if err := install(args[0]); err != nil {
			fmt.Fprintln(stderr, "gearman-worker: install:", err)
			return exitFailed
		}
		return exitOK
	case "await-stoppable":
		if len(args) != 0 {
			return usage(errors.New("await-stoppable takes no arguments: it is about process 1"))
		}
		ctx, cancel := context.WithTimeout(context.Background(), stoppableWithin)
		defer cancel()
		if err := awaitStoppable(ctx, "/proc/1/status"); err != nil {
			fmt.Fprintln(stderr, "gearman-worker: await-stoppable:", err)
			return exitFailed
		}
		return exitOK
	}

	mode := options.Mode(command)
	if !mode.Known() && mode != options.RunMode {
		return usage(fmt.Errorf("there is no command %q; gearman-worker help lists them", command))
	}
	opts, err := options.Parse(mode, args, options.System)
	if errors.Is(err, options.ErrHelp) {
		options.WriteHelp(stdout, mode)
		return exitOK
	}
	if err != nil {
		return usage(err)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	if opts.Check {
		return check(context.Background(), opts, stdout)
	}
	return Run(context.Background(), opts, newLogger(opts, stderr), signals)
}

func newLogger(o *options.Options, w io.Writer) *slog.Logger {
	h := &slog.HandlerOptions{Level: o.LogLevel}
	if o.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(w, h))
	}
	return slog.New(slog.NewJSONHandler(w, h))
}
