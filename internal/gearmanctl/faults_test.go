package gearmanctl

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/internal/localworker"
)

const (
	faultJobs    = 16
	faultWorkers = 4 // at most, with one job at a time
)

// faultPool is a pool whose processes can be found by the directory in their environment.
const faultPool = `apiVersion: gearman.dev/v1alpha1
kind: GearmanWorkerPool
metadata: {name: faults}
spec:
  servers: [%q]
  function: f
  env: [{name: FAULT_DIR, value: %q}]
  runtime:
    exec: {command: %s}
    jobTimeoutSeconds: %d
    retry: {attempts: %d, backoffSeconds: 1, onTimeout: Retry, deadLetterFunction: f.dead}
  maxReplicas: %s
  scaling: {pollSeconds: 1}
`

// faultJob is the program of a job. It records the result of each attempt: one that starts and
// records nothing else was interrupted.
const faultJob = `#!/bin/sh
read id
mark() { echo "$1 $id" >>"$FAULT_DIR/ledger"; }
first() { mkdir "$FAULT_DIR/seen-$id" 2>/dev/null; }
mark start
%s
sleep 0.1
mark end
`

// faulted is a fleet with a fault.
type faulted struct {
	t       *testing.T
	dir     string
	server  *gearmantest.Server
	command string
	timeout int // of a job, in seconds
	tries   int // of a job
	up      *program
}

func (f *faulted) path(name string) string { return filepath.Join(f.dir, name) }

func (f *faulted) write(maxReplicas string) {
	f.t.Helper()
	text := fmt.Sprintf(faultPool, f.server.Addr(), f.dir, f.command, f.timeout, f.tries, maxReplicas)
	if err := os.WriteFile(f.path("pool.yaml"), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *faulted) start() {
	f.t.Helper()
	f.up = run(f.t, "up", f.path("pool.yaml"), "--state-dir", f.path("state"))
}

// attempts counts the lines of the ledger by word and job.
func (f *faulted) attempts() map[string]map[string]int {
	f.t.Helper()
	data, err := os.ReadFile(f.path("ledger"))
	if err != nil && !os.IsNotExist(err) {
		f.t.Fatal(err)
	}
	out := map[string]map[string]int{"start": {}, "end": {}, "over": {}}
	for line := range bytes.Lines(data) {
		if word, id, ok := strings.Cut(strings.TrimSpace(string(line)), " "); ok {
			out[word][id]++
		}
	}
	return out
}

// awaitEnds waits until n jobs have completed.
func (f *faulted) awaitEnds(n int) {
	f.t.Helper()
	await(f.t, fmt.Sprintf("%d completed jobs", n), func() bool { return len(f.attempts()["end"]) >= n })
}

// settled reports whether the job server has no jobs left but the buried ones.
func (f *faulted) settled(buried int) bool {
	return f.server.Function("f").Total == 0 && f.server.Function("f.retry").Total == 0 &&
		f.server.Function("f.dead").Total == buried
}

// killWorkers kills the worker processes that run now, and reports whether there was one.
func (f *faulted) killWorkers() bool {
	f.t.Helper()
	files, err := filepath.Glob(f.path("state/*.worker"))
	if err != nil {
		f.t.Fatal(err)
	}
	killed := false
	for _, file := range files {
		// One that is just starting has not written its process id.
		if s, alive, err := localworker.Read(file); err == nil && alive && s.PID > 0 {
			killed = syscall.Kill(s.PID, syscall.SIGKILL) == nil || killed
		}
	}
	return killed
}

// installTool makes the job's script the file tool, in one step.
func (f *faulted) installTool() {
	f.t.Helper()
	if err := os.Symlink(f.path("job.sh"), f.path("tool")); err != nil {
		f.t.Fatal(err)
	}
}

// loseTool takes the jobs' program away, until a worker has noticed that.
func (f *faulted) loseTool() {
	f.t.Helper()
	f.awaitEnds(2)
	if err := os.Remove(f.path("tool")); err != nil {
		f.t.Fatal(err)
	}
	f.up.awaitLog(f.t, "Jobs can't be started")
	f.installTool()
}

// The faults of workers in a cluster, on a machine. No job is lost, none is interrupted except by
// the fault itself, and no process is left.
func TestUpFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		job     string // shell commands of each job
		command string // none: the shell with the job's script
		timeout int    // of a job, in seconds; none: an hour
		tries   int    // of a job; none: 3
		workers int    // at most; none: faultWorkers
		prepare func(f *faulted)
		strike  func(f *faulted)
		cut     int // attempts that the strike may interrupt
		again   int // jobs that may complete twice
		buried  int // jobs in the dead letter function
	}{
		"the command is missing": {
			command: `["%s/tool"]`, workers: 1,
			strike: func(f *faulted) {
				f.up.awaitLog(f.t, "can't be run")
				f.installTool()
			},
		},
		"the command goes away": {
			command: `["%s/tool"]`, prepare: (*faulted).installTool, strike: (*faulted).loseTool,
		},
		"the only worker's command goes away": {
			command: `["%s/tool"]`, prepare: (*faulted).installTool, workers: 1, strike: (*faulted).loseTool,
		},
		"each job fails once": {job: `if first; then mark over; exit 1; fi`},
		// On a slow machine other attempts run out of time, too: there are enough of them.
		"some jobs hang once": {
			job: `case $id in [0-3]) if first; then mark over; sleep 600; fi;; esac`, timeout: 5, tries: 20,
			cut: 20 * faultJobs,
		},
		"each job crashes once": {job: `if first; then mark over; kill -9 $$; fi`},
		"one job crashes always": {
			job: `if [ "$id" = 0 ]; then mark over; kill -9 $$; fi`, buried: 1,
		},
		"the workers are killed": {
			strike: func(f *faulted) {
				f.awaitEnds(2)
				await(f.t, "a worker to kill", f.killWorkers)
			},
			cut: faultWorkers, again: faultWorkers,
		},
		"the job server is away": {
			strike: func(f *faulted) {
				f.awaitEnds(2)
				f.server.Refuse()
				f.server.CloseConnections()
				await(f.t, "the end of what ran", func() bool {
					a := f.attempts()
					return len(a["start"]) == len(a["end"])
				})
				if err := f.server.Accept(); err != nil {
					f.t.Fatal(err)
				}
			},
			again: faultWorkers,
		},
		"the job server is restarted": {
			strike: func(f *faulted) {
				f.awaitEnds(2)
				f.server.RestartWithQueue()
			},
			again: faultWorkers,
		},
		"the file is broken": {
			strike: func(f *faulted) {
				f.awaitEnds(2)
				f.write("many")
				f.up.awaitLog(f.t, "the pools stay as they are")
				f.write("3")
				f.up.awaitLog(f.t, "Files read again")
			},
		},
		"up is killed": {
			strike: func(f *faulted) {
				f.awaitEnds(2)
				_ = f.up.cmd.Process.Kill()
				_ = f.up.cmd.Wait()
				f.start()
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, err := jobserver.FreeAddr()
			if err != nil {
				t.Fatal(err)
			}
			f := &faulted{t: t, dir: t.TempDir(), server: gearmantest.NewServer(gearmantest.Options{Addr: addr})}
			defer f.server.Close()
			f.command = fmt.Sprintf("[sh, %q]", f.path("job.sh"))
			f.timeout, f.tries = cmp.Or(tt.timeout, 3600), cmp.Or(tt.tries, 3)
			if tt.command != "" {
				f.command = fmt.Sprintf(tt.command, f.dir)
			}
			job := fmt.Appendf(nil, faultJob, tt.job)
			if err := os.WriteFile(f.path("job.sh"), job, 0o755); err != nil {
				t.Fatal(err)
			}
			if tt.prepare != nil {
				tt.prepare(f)
			}
			f.write(strconv.Itoa(cmp.Or(tt.workers, faultWorkers)))
			for n := range faultJobs {
				f.server.Submit("f", "", []byte(strconv.Itoa(n)+"\n"))
			}
			f.start()
			if tt.strike != nil {
				tt.strike(f)
			}
			f.awaitEnds(faultJobs - tt.buried)
			await(t, "an empty queue", func() bool { return f.settled(tt.buried) })
			_ = f.up.cmd.Process.Signal(syscall.SIGTERM)
			if err := f.up.cmd.Wait(); err != nil {
				t.Errorf("%v; log:\n%s", err, f.up.log)
			}
			await(t, "no process that is left", func() bool { return len(processesWith(t, f.dir)) == 0 })
			f.checkOutcome(tt.cut, tt.again, tt.buried)
		})
	}
}

// checkOutcome compares the results of the jobs and their attempts with what the fault allows.
func (f *faulted) checkOutcome(cut, again, buried int) {
	f.t.Helper()
	a := f.attempts()
	lost, interrupted, twice := 0, 0, 0
	for n := range faultJobs {
		id := strconv.Itoa(n)
		if a["end"][id] == 0 {
			lost++
		}
		interrupted += a["start"][id] - a["end"][id] - a["over"][id]
		if a["end"][id] > 1 {
			twice++
		}
	}
	if lost != buried || interrupted > cut || twice > again {
		f.t.Errorf(
			"%d jobs did not complete, want %d; %d attempts were interrupted, want at most %d; "+
				"%d jobs completed twice, want at most %d; log:\n%s", lost, buried, interrupted, cut, twice, again, f.up.log,
		)
	}
}
