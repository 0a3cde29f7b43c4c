//go:build e2e

package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/gearman-operator/gearman-operator/test/cluster"
)

var (
	live *cluster.Cluster
	// disturb is locked by tests that stop, replace or upgrade the operator, and locked for reading
	// by those that read what one operator has counted. For the other tests the operator is only
	// away for a while.
	disturb sync.RWMutex
	keep    = flag.Bool("keep", false, "leave the namespaces of the tests")
)

func TestMain(m *testing.M) {
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	var err error
	if live, err = cluster.Connect(); err == nil {
		err = live.InstallOperator(ctx, os.Getenv("IMAGE"), os.Getenv("IMAGE_ARCHIVE"))
	}
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// stage sets up a stage for the test in a fresh namespace. If the test fails, it logs the state of
// the stage.
func stage(t *testing.T) *cluster.Stage {
	t.Helper()
	name := "e2e-" + strings.ToLower(strings.TrimPrefix(t.Name(), "Test"))
	ctx := within(t, 4*time.Minute)
	if err := live.ClearNamespace(ctx, name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if t.Failed() {
			t.Log((&cluster.Stage{Cluster: live, Namespace: name}).Describe(ctx))
		}
		if *keep {
			return
		}
		if err := live.ClearNamespace(ctx, name); err != nil {
			t.Error(err)
		}
	})
	s, err := live.NewStage(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// within returns the test's context with a time limit. The limit is generous, since a badly
// overloaded machine may take that long.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for check.
func eventually(t *testing.T, d time.Duration, check func(context.Context) error) {
	t.Helper()
	must(t, cluster.Wait(within(t, d), check))
}

func jobs(prefix string, n int, long time.Duration) []cluster.Job {
	list := make([]cluster.Job, n)
	for i := range list {
		list[i] = cluster.Job{ID: fmt.Sprintf("%s-%03d", prefix, i), Long: long, Text: "hello"}
	}
	return list
}

// started waits until n of the jobs run.
func started(t *testing.T, s *cluster.Stage, n int, d time.Duration) {
	t.Helper()
	eventually(t, d, func(ctx context.Context) error {
		q, err := s.Queue(ctx)
		if err == nil && q.Running < n {
			err = fmt.Errorf("%d jobs run, want %d", q.Running, n)
		}
		return err
	})
}

// allRanOnce waits until all jobs ran to their end, and asserts that none was lost, interrupted or
// run twice.
func allRanOnce(t *testing.T, s *cluster.Stage, list []cluster.Job, d time.Duration) {
	t.Helper()
	var count cluster.Count
	err := cluster.Wait(within(t, d), func(ctx context.Context) error {
		runs, err := s.Runs(ctx)
		if err != nil {
			return err
		}
		if count = cluster.CountRuns(list, runs); count.Completed < len(list) {
			return fmt.Errorf("%d of %d jobs completed", count.Completed, len(list))
		}
		return nil
	})
	if err != nil || count != (cluster.Count{Completed: len(list)}) {
		t.Fatalf("%d jobs: %+v, %v", len(list), count, err)
	}
}

// atZero waits until the pool has neither replicas nor pods, and asserts that it stays at zero
// while nothing is submitted. The time limit must be long: after each lost connection to a job
// server, and each start of the operator, nothing is scaled down for a window.
func atZero(t *testing.T, s *cluster.Stage, d time.Duration) {
	t.Helper()
	zero := func(ctx context.Context) error {
		w, err := s.Workers(ctx)
		if err == nil && (w.Replicas > 0 || len(w.Pods) > 0) {
			err = fmt.Errorf("%d replicas, %d pods; want none", w.Replicas, len(w.Pods))
		}
		return err
	}
	eventually(t, d, zero)
	for range 10 {
		time.Sleep(500 * time.Millisecond) // five seconds without any event, which can only be waited for
		if err := zero(within(t, 30*time.Second)); err != nil {
			t.Fatalf("back from zero without a job: %v", err)
		}
	}
}

// ready waits for n ready workers.
func ready(t *testing.T, s *cluster.Stage, n int, d time.Duration) {
	t.Helper()
	eventually(t, d, func(ctx context.Context) error {
		w, err := s.Workers(ctx)
		if err == nil && w.Ready < n {
			err = fmt.Errorf("%d workers ready, want %d", w.Ready, n)
		}
		return err
	})
}

// least watches the replicas until stop is called. stop returns the least number seen, or -1.
func least(t *testing.T, s *cluster.Stage) (stop func() int) {
	t.Helper()
	return leastWhile(t, s, nil)
}

// leastWhile is like least, but stops watching once the queue no longer meets want.
func leastWhile(t *testing.T, s *cluster.Stage, want func(cluster.Queue) bool) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan int, 1)
	go func() {
		fewest := -1
		for ctx.Err() == nil {
			w, err := s.Workers(ctx)
			if err == nil && want != nil { // after the replicas: the queue was still as required then
				var q cluster.Queue
				if q, err = s.Queue(ctx); err == nil && !want(q) {
					break
				}
			}
			if err == nil && (fewest < 0 || w.Replicas < fewest) {
				fewest = w.Replicas
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
		result <- fewest
	}()
	return sync.OnceValue(func() int {
		cancel()
		return <-result
	})
}

// condition waits until the pool's condition has the status, and returns its reason.
func condition(t *testing.T, s *cluster.Stage, kind, status string, d time.Duration) (reason string) {
	t.Helper()
	eventually(t, d, func(ctx context.Context) error {
		p, err := s.Pool(ctx)
		if err != nil {
			return err
		}
		c := meta.FindStatusCondition(p.Status.Conditions, kind)
		if c == nil || string(c.Status) != status {
			return fmt.Errorf("condition %s is %+v, want %s", kind, c, status)
		}
		reason = c.Reason
		return nil
	})
	return reason
}

// scaling sets spec.scaling.
func scaling(spec map[string]any, key string, value any) {
	m, _ := spec["scaling"].(map[string]any)
	if m == nil {
		m = map[string]any{}
	}
	m[key] = value
	spec["scaling"] = m
}
