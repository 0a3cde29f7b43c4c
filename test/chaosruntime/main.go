package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	if isJob() {
		os.Exit(jobMain())
	}
	var o options
	flag.StringVar(&o.worker, "worker", "", "the gearman-worker program")
	flag.IntVar(&o.background, "background", 100_000, "background jobs")
	flag.IntVar(&o.foreground, "foreground", 10_000, "foreground jobs")
	flag.IntVar(&o.poison, "poison", 100, "jobs that always fail, among the background jobs")
	flag.IntVar(&o.crashes, "crashes", 20, "jobs whose first process is killed, among the background jobs")
	flag.DurationVar(&o.limit, "limit", 30*time.Minute, "longest time for one server")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of what is killed when")
	flag.IntVar(
		&o.cost, "cost-jobs", 16_000, "jobs of each round in which the cost of retries is measured; 0: not at all",
	)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &o); err != nil {
		log.Print("chaosruntime: ", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options) error {
	dir, err := os.MkdirTemp("", "chaos-runtime-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.worker, err = filepath.Abs(o.worker); err != nil {
		return err
	}
	fmt.Printf("seed %d\n", o.seed)
	result := map[string]any{"seed": o.seed}
	failed := false
	for _, kind := range []string{"memory", "persistent"} {
		sub := filepath.Join(dir, kind)
		if err := os.Mkdir(sub, 0o755); err != nil {
			return err
		}
		r, err := storm(ctx, o, sub, kind == "persistent")
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		fmt.Printf("%s: %+v\n", kind, r)
		failed = failed || !r.good(o)
		for name, n := range r.fields() {
			if kind == "persistent" {
				name += "_persistent"
			}
			result[name] = n
		}
	}
	if o.cost > 0 {
		percent, err := cost(ctx, o, dir)
		if err != nil {
			return fmt.Errorf("cost: %w", err)
		}
		result["retry_throughput_cost_percent"] = percent
	}
	line, err := json.Marshal(result)
	if err != nil {
		return err
	}
	fmt.Printf("RESULT %s\n", line)
	if failed {
		return errors.New("the targets are missed: lost, failed_without_trying and duplicates_without_kill must be 0, all poison dead-lettered, " +
			"black_hole_jobs_max at most concurrency + 2")
	}
	return nil
}

type options struct {
	worker                                  string
	background, foreground, poison, crashes int
	cost                                    int
	limit                                   time.Duration
	seed                                    uint64
}
