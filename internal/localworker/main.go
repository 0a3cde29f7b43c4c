package localworker

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
)

// Ready is what a worker writes to its standard output when it is ready.
const Ready = "ready\n"

// Command is the mode of a program that speaks Gearman itself.
const Command = "command"

const (
	exitFailed = 1
	exitUsage  = 2
)

// worker is a worker process's own options.
type worker struct {
	state, uid, name string
	memory           int64
	drain            time.Duration
	mode             string
	args             []string
}

func parse(args []string) (worker, error) {
	var w worker
	flags := flag.NewFlagSet("worker", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&w.state, "state", "", "state file to lock")
	flags.StringVar(&w.uid, "uid", "", "uid, for the telemetry")
	flags.StringVar(&w.name, "name", "", "name, for the telemetry")
	flags.Int64Var(&w.memory, "memory", 0, "bytes of data that each process may have; 0: no limit")
	flags.DurationVar(&w.drain, "drain", 0, "how long a program of mode command may take to end")
	if err := flags.Parse(args); err != nil {
		return w, err
	}
	rest := flags.Args()
	if len(rest) < 2 || w.state == "" {
		return w, errors.New("this command is for gearmanctl up, which starts it")
	}
	w.mode, w.args = rest[0], rest[1:]
	if w.mode != Command && !options.Mode(w.mode).Known() {
		return w, fmt.Errorf("there is no mode %q", w.mode)
	}
	return w, nil
}

// Main runs a worker process until it has drained, and returns its exit code.
func Main(args []string, in io.Reader, out, errs io.Writer) int {
	// Writing to a dead parent must not kill the worker: it still has jobs to finish. A handler,
	// unlike an ignored signal, is not inherited by child processes.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	errs = &lossy{out: errs}
	w, err := parse(args)
	if err != nil {
		fmt.Fprintln(errs, "gearmanctl worker:", err)
		return exitUsage
	}
	lock, err := Lock(w.state, State{PID: os.Getpid(), UID: w.uid, Name: w.name, Started: time.Now()})
	if err != nil {
		fmt.Fprintln(errs, "gearmanctl worker: lock the state file:", err)
		return exitFailed
	}
	defer lock.Close()
	if err := limitMemory(w.memory); err != nil {
		fmt.Fprintln(errs, "gearmanctl worker: limit the memory:", err)
		return exitFailed
	}
	signals := stopSignals(in)
	ready := sync.OnceFunc(func() { _, _ = io.WriteString(out, Ready) })
	if w.mode == Command {
		return runCommand(w.args, w.drain, signals, ready, errs)
	}
	return runRuntime(&w, signals, ready, errs)
}

func runRuntime(w *worker, signals <-chan os.Signal, ready func(), errs io.Writer) int {
	o, err := options.Parse(options.Mode(w.mode), w.args, options.System)
	if err != nil {
		fmt.Fprintln(errs, "gearmanctl worker:", err)
		return exitUsage
	}
	o.PodUID, o.PodName, o.OnReady = w.uid, w.name, ready
	log := slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: o.LogLevel, ReplaceAttr: withoutTime}))
	return workerruntime.Run(context.Background(), o, log, signals)
}

// withoutTime drops the time of a log line: the process that prints the lines of many workers adds
// it.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// stopSignals forwards requests to stop the worker. The end of the parent, seen as the end of
// standard input, counts as a SIGTERM unless there was one before: a second one would requeue
// running jobs.
func stopSignals(in io.Reader) <-chan os.Signal {
	caught := make(chan os.Signal, 4)
	signal.Notify(caught, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	orphaned := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in) // however it ends, the parent is gone
		close(orphaned)
	}()
	out := make(chan os.Signal, 4)
	go func() {
		stopping := false
		for {
			select {
			case s := <-caught:
				stopping = stopping || s != syscall.SIGHUP
				out <- s
			case <-orphaned:
				orphaned = nil
				if !stopping {
					stopping = true
					out <- syscall.SIGTERM
				}
			}
		}
	}()
	return out
}

// lossy is a writer that ignores errors.
type lossy struct{ out io.Writer }

func (l *lossy) Write(p []byte) (int, error) {
	_, _ = l.out.Write(p)
	return len(p), nil
}
