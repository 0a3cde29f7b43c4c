package gearmanctl

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
)

const soakPool = `apiVersion: gearman.dev/v1alpha1
kind: GearmanWorkerPool
metadata: {name: soak}
spec:
  servers: [%q]
  function: soak
  runtime: {exec: {command: [sh, -c, 'read id seconds; echo "start $id" >>%[2]s; sleep $seconds; echo "end $id" >>%[2]s']}}
  maxReplicas: 6
  scaling: {pollSeconds: 1, idleSeconds: 5}
`

// soak is a load of jobs that record when they start and end.
type soak struct {
	t         *testing.T
	ledger    string
	client    *client.Client
	submitted int
}

// counts reads the ledger: how often each job has started and ended.
func (s *soak) counts() (started, ended map[string]int) {
	s.t.Helper()
	started, ended = map[string]int{}, map[string]int{}
	data, err := os.ReadFile(s.ledger)
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		switch what, id, _ := strings.Cut(strings.TrimSpace(string(line)), " "); what {
		case "start":
			started[id]++
		case "end":
			ended[id]++
		}
	}
	return started, ended
}

// fill keeps about 30 jobs queued or running.
func (s *soak) fill(ended int) {
	s.t.Helper()
	for ; s.submitted-ended < 30; s.submitted++ {
		id := strconv.Itoa(s.submitted)
		workload := fmt.Sprintf("%s %.2f\n", id, 0.05+rand.Float64())
		if _, err := s.client.Background(
			s.t.Context(), &client.Task{Function: "soak", Payload: []byte(workload)},
		); err != nil {
			s.t.Fatal(err)
		}
	}
}

// work submits jobs until n more than now have ended, and then until the deadline.
func (s *soak) work(n int, until time.Time) {
	s.t.Helper()
	_, ended := s.counts()
	goal := len(ended) + n
	for deadline := time.Now().Add(2 * time.Minute); len(ended) < goal || time.Now().Before(until); {
		s.fill(len(ended))
		if time.Now().After(deadline) && len(ended) < goal {
			s.t.Fatalf("%d jobs have ended after two minutes, want %d", len(ended), goal)
		}
		time.Sleep(50 * time.Millisecond)
		_, ended = s.counts()
	}
}

// A fleet that is repeatedly killed, with jobs running, loses none, interrupts none, runs none
// twice and leaves no process behind. `make soak-up` runs this for longer.
func TestSoakUp(t *testing.T) {
	t.Parallel()
	minutes, _ := strconv.Atoi(os.Getenv("SOAK_UP_MINUTES")) // unset: a short one
	until := time.Now().Add(time.Duration(minutes) * time.Minute)
	server := gearmantest.NewServer(gearmantest.Options{})
	defer server.Close()
	c, err := client.New(client.Options{Servers: []string{server.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir := t.TempDir()
	file, state := filepath.Join(dir, "pool.yaml"), filepath.Join(dir, "state")
	s := &soak{t: t, ledger: filepath.Join(dir, "ledger"), client: c}
	if err := os.WriteFile(file, fmt.Appendf(nil, soakPool, server.Addr(), s.ledger), 0o600); err != nil {
		t.Fatal(err)
	}
	kills := 0
	for ; kills < 2 || time.Now().Before(until); kills++ {
		p := run(t, "up", file, "--state-dir", state)
		wait := time.Now()
		if minutes > 0 {
			wait = wait.Add(rand.N(20 * time.Second))
		}
		s.work(5, wait)
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
	last := run(t, "up", file, "--state-dir", state)
	await(t, "the end of all jobs", func() bool {
		_, ended := s.counts()
		return len(ended) == s.submitted
	})
	_ = last.cmd.Process.Signal(syscall.SIGTERM)
	if err := last.cmd.Wait(); err != nil {
		t.Errorf("%v; log:\n%s", err, last.log)
	}
	await(t, "no process that is left", func() bool { return len(processesWith(t, state)) == 0 })

	started, ended := s.counts()
	lost, interrupted, twice := 0, 0, 0
	for i := range s.submitted {
		id := strconv.Itoa(i)
		switch {
		case ended[id] == 0:
			lost++
		case started[id] > ended[id]:
			interrupted++
		case ended[id] > 1:
			twice++
		}
	}
	t.Logf(`RESULT {"minutes":%d,"up_killed":%d,"jobs":%d,"jobs_lost":%d,"jobs_interrupted":%d,"jobs_twice":%d,"processes_left":0}`,
		minutes, kills, s.submitted, lost, interrupted, twice)
	if lost+interrupted+twice > 0 {
		t.Errorf("%d jobs lost, %d interrupted, %d run twice", lost, interrupted, twice)
	}
}

// processesWith lists the processes that have a text in their command line or their environment.
func processesWith(t *testing.T, text string) (found []string) {
	t.Helper()
	for _, name := range []string{"cmdline", "environ"} {
		files, err := filepath.Glob("/proc/[0-9]*/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file) // it may have ended, or belong to another user
			if err == nil && bytes.Contains(data, []byte(text)) {
				found = append(found, file)
			}
		}
	}
	slices.Sort(found)
	return found
}
