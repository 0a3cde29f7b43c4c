package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	pods      = 8
	forgetful = 5 // of these lose their command
)

// storm runs all jobs on one job server, first in calm, then under faults, and counts what happened
// to them.
func storm(ctx context.Context, o *options, dir string, persistent bool) (*outcome, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("not done within %v", o.limit))
	defer cancel()
	begin := time.Now()
	s, err := startServer(ctx, dir, persistent)
	if err != nil {
		return nil, err
	}
	defer func() { s.kill() }()
	p, closeProxy, err := startProxy(s.addr)
	if err != nil {
		return nil, err
	}
	defer closeProxy()
	working, stopWorkers := context.WithCancel(ctx)
	var kept sync.WaitGroup
	defer kept.Wait()
	defer stopWorkers()
	var workers []*podWorker
	if err := copyJobProgram(dir); err != nil {
		return nil, err
	}
	for n := range pods {
		w, err := newWorker(dir, n)
		if err != nil {
			return nil, err
		}
		workers = append(workers, w)
		kept.Go(func() { _ = w.keep(working, o.worker, p.addr) })
	}

	jobs := plan(o)
	r := &outcome{Jobs: len(jobs)}
	calm := len(jobs) / 10
	clients := &clients{addr: s.addr}
	if err := clients.submitAll(ctx, jobs[:calm]); err != nil {
		return nil, err
	}
	if err := settled(ctx, s); err != nil {
		return nil, err
	}
	b, err := readBook(dir)
	if err != nil {
		return nil, err
	}
	r.DuplicatesBeforeKills = b.duplicates()

	if err := (&weather{
		s: s, p: p, workers: workers, persistent: persistent, r: rand.New(rand.NewPCG(o.seed, 1)), out: r,
	}).during(ctx, func() error { return clients.submitAll(ctx, jobs[calm:]) }); err != nil {
		return nil, err
	}
	if err := settled(ctx, s); err != nil {
		return nil, err
	}
	stopWorkers()
	kept.Wait()
	r.Seconds = int(time.Since(begin).Seconds())
	return r, judge(ctx, s, dir, jobs, clients, r)
}

// during causes faults while submit runs and for a while after it.
func (w *weather) during(ctx context.Context, submit func() error) error {
	stormy, calmDown := context.WithCancel(ctx)
	defer calmDown()
	var blowing sync.WaitGroup
	blowing.Go(func() { w.blow(stormy) })
	err := submit()
	// Half of the storm is for the jobs that wait for their next attempt.
	pause(ctx, 10*time.Second)
	calmDown()
	blowing.Wait()
	return errors.Join(err, w.err)
}

// settled waits until the function and its waiting jobs are gone.
func settled(ctx context.Context, s *server) error {
	for quiet := 0; quiet < 3; {
		t, err := s.totals(ctx)
		if err == nil && t["jobs"]+t["jobs.retry"] == 0 {
			quiet++
		} else {
			quiet = 0
		}
		if !pause(ctx, 300*time.Millisecond) {
			return fmt.Errorf("%w: %v are left", context.Cause(ctx), t)
		}
	}
	return nil
}

// aJob is one job.
type aJob struct {
	kind, id   string
	foreground bool
}

func (j aJob) workload() string { return j.kind + " " + j.id + "\n" }

// plan makes the jobs: a tenth of them fail once or twice.
func plan(o *options) []aJob {
	r := rand.New(rand.NewPCG(o.seed, 2))
	jobs := make([]aJob, 0, o.background+o.foreground)
	for n := range o.background {
		kind := "good"
		switch {
		case n < o.poison:
			kind = "poison"
		case n < o.poison+o.crashes:
			kind = "crash"
		case n%10 == 0:
			kind = []string{"fail1", "fail2"}[n/10%2]
		}
		jobs = append(jobs, aJob{kind: kind, id: "b" + itoa(n)})
	}
	for n := range o.foreground {
		jobs = append(jobs, aJob{kind: "good", id: "f" + itoa(n), foreground: true})
	}
	r.Shuffle(len(jobs), func(i, k int) { jobs[i], jobs[k] = jobs[k], jobs[i] })
	return jobs
}

// weather is the faults that occur.
type weather struct {
	s          *server
	p          *proxy
	workers    []*podWorker
	persistent bool
	r          *rand.Rand
	out        *outcome
	err        error
}

func (w *weather) blow(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	var mu sync.Mutex
	away := map[int]bool{}
	for pause(ctx, time.Duration(300+w.r.IntN(900))*time.Millisecond) {
		switch n := w.r.IntN(10); {
		case n < 3:
			w.workers[w.r.IntN(pods)].kill()
			w.out.WorkersKilled++
		case n < 6:
			w.p.cut(w.r)
			w.out.ConnectionsCut++
		case n < 9:
			victim := w.r.IntN(forgetful)
			d := time.Duration(2+w.r.IntN(6)) * time.Second
			mu.Lock()
			busy := away[victim]
			away[victim] = true
			mu.Unlock()
			if busy {
				continue
			}
			w.out.Outages++
			wg.Go(func() {
				jobs, err := w.workers[victim].outage(ctx, d)
				mu.Lock()
				defer mu.Unlock()
				away[victim] = false
				w.err = errors.Join(w.err, err)
				w.out.BlackHoleMax = max(w.out.BlackHoleMax, jobs)
			})
		case w.persistent && w.out.ServerKills < 5:
			w.s.kill()
			w.out.ServerKills++
			pause(ctx, 500*time.Millisecond)
			if err := w.s.start(context.WithoutCancel(ctx)); err != nil {
				mu.Lock()
				w.err = errors.Join(w.err, err)
				mu.Unlock()
				return
			}
		}
	}
}

// judge counts what happened to the jobs.
func judge(ctx context.Context, s *server, dir string, jobs []aJob, c *clients, r *outcome) error {
	b, err := readBook(dir)
	if err != nil {
		return err
	}
	letters, err := buried(ctx, s.addr)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		failed := c.failed[j.id]
		switch {
		case b.completions[j.id] > 0:
			r.Completed++
		case letters[j.id] != "":
		case failed:
		default:
			r.Lost++
			fmt.Printf("lost: %+v, %d starts\n", j, b.starts[j.id])
		}
		if letters[j.id] != "" {
			r.DeadLettered++
			if j.kind == "poison" && strings.Contains("exit_code killed", letters[j.id]) {
				r.PoisonBuried++
			}
		}
		if (failed || letters[j.id] != "") && b.starts[j.id] == 0 {
			r.FailedWithoutTrying++
			fmt.Printf("failed without trying: %+v\n", j)
		}
		if failed {
			r.FailedToClients++
		}
	}
	r.Duplicates = b.duplicates()
	if r.Lost > 0 || r.FailedWithoutTrying > 0 {
		keepLogs(dir)
	}
	return nil
}

// keepLogs saves the workers' logs after a failure.
func keepLogs(dir string) {
	const to = "build/reports/chaos-runtime"
	if os.MkdirAll(to, 0o755) != nil {
		return
	}
	files, _ := filepath.Glob(filepath.Join(dir, "log-*"))
	for _, f := range files {
		if data, err := os.ReadFile(f); err == nil {
			_ = os.WriteFile(filepath.Join(to, filepath.Base(dir)+"-"+filepath.Base(f)), bytes.TrimSpace(data), 0o644)
		}
	}
}
