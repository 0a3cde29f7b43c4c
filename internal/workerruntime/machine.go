package workerruntime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"slices"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
	"github.com/gearman-operator/gearman-operator/internal/resolve"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
)

// newResolver returns a resolver that makes the worker use the same job servers as the operator
// counts.
func newResolver(o *options.Options, byName bool) (*resolve.Resolver, error) {
	r, err := resolverOf(o, byName)
	if err != nil {
		return nil, err
	}
	r.Domain, r.Namespace = resolve.Cluster("/etc/resolv.conf")
	return r, nil
}

// resolverOf returns newResolver's resolver without this machine's information about its cluster.
func resolverOf(o *options.Options, byName bool) (*resolve.Resolver, error) {
	r := &resolve.Resolver{MaxServers: o.MaxServers, ByName: byName}
	for _, s := range o.Servers {
		a, err := gearman.ParseAddress(s)
		if err != nil {
			return nil, fmt.Errorf("--server: %w", err)
		}
		r.Servers = append(r.Servers, a)
	}
	return r, nil
}

// spooling returns the options that this machine can honor: without a spool directory, workloads
// and results stay in memory.
func spooling(o *options.Options, log *slog.Logger) *options.Options {
	err := trySpool(o)
	if err == nil {
		return o
	}
	log.Warn("Large workloads and results are kept in memory: files can't be made in the spool directory; give --spool-dir another one",
		"error", err, "spoolDir", o.SpoolDir)
	kept := *o
	kept.SpoolAbove = math.MaxInt64
	return &kept
}

// network returns how job servers are reached and their names looked up. A nil dial means the
// library's own.
func (r *run) network(byName bool) (
	dial func(context.Context, string, string) (net.Conn, error), names gearman.Resolver, err error,
) {
	if r.machine != nil {
		of, err := resolverOf(r.opts, byName)
		if err != nil {
			return nil, nil, err
		}
		of.LookupNetIPWith = r.machine.LookupIP
		return r.machine.Dial, of, nil
	}
	of, err := newResolver(r.opts, byName)
	if err != nil {
		return nil, nil, err
	}
	if slices.ContainsFunc(r.opts.Handlers, func(h options.Handler) bool { return modes[h.Mode].forks }) {
		roomForThreads(r.opts.Concurrency)
		process.DropChildSignals()
		dial = dialThread
	}
	return dial, of, nil
}

// jobDone is the hook at a job's end.
func (r *run) jobDone(j *worker.Job, d worker.Done) {
	r.jobs.done(j, d)
	if r.machine != nil && r.machine.Done != nil {
		r.machine.Done(j, d)
	}
}

// ownProcesses keeps this process's secrets from the jobs' processes and adopts the orphans that
// they leave.
func (r *run) ownProcesses(ctx context.Context) {
	if err := process.Seclude(); errors.Is(err, errors.ErrUnsupported) {
		r.log.LogAttrs(
			ctx, slog.LevelDebug, "Jobs can read the worker's environment and memory on this system",
			slog.Any("error", err),
		)
	} else if err != nil {
		r.log.LogAttrs(ctx, slog.LevelWarn, "Jobs can read the worker's environment and memory", slog.Any("error", err))
	}
	if err := process.AdoptOrphans(); err != nil {
		r.log.LogAttrs(ctx, slog.LevelDebug, "Orphaned processes can't be adopted", slog.Any("error", err))
	}
}
