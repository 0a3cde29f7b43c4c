package sim

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"testing"
	"time"
)

// TestPodsWithoutANode: ten pods find a node. Pods that were ordered before that was known are
// given up after a quarter of an hour, except for the allowance.
func TestPodsWithoutANode(t *testing.T) {
	t.Parallel()
	w := &Workload{Functions: []string{"f"}, Servers: 1, Concurrency: 1, Nodes: 10, Horizon: 2400}
	w.poisson(rand.New(rand.NewPCG(1, 1)), 0, 2400, 10, nil, exponential(3), 0)
	most, working := 0, 0
	var s Simulator
	r := s.Run(w, ours(30*time.Second), Config{Targets: []float64{30}, Trace: func(p Point) {
		working = max(working, p.Working)
		if p.At > 1200 {
			most = max(most, p.Replicas)
		}
	}})
	if working != 10 || most > 15 || r.Interrupted > 0 || s.left > 0 {
		t.Errorf(
			"at most %d pods worked and %d were ordered, %d jobs interrupted, %d left; want 10, 15 at most, 0 and 0",
			working, most, r.Interrupted, s.left,
		)
	}
}

// TestOneBadNodeInTenDoesNotStarve: the other nodes start the pods that one node in ten can't
// start.
func TestOneBadNodeInTenDoesNotStarve(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		for _, m := range Makers() {
			if m.Name != "one bad node in ten" {
				continue
			}
			var s Simulator
			r := s.Run(m.New(seed), ours(90*time.Second), Config{Boot: 30, Targets: []float64{90}, Seed: seed})
			if r.MissPercent(0) > 2 {
				t.Errorf("seed %d: %.2f%% of the jobs are late", seed, r.MissPercent(0))
			}
		}
	}
}

// TestADeadNode: its jobs are requeued and run elsewhere, and its pods are replaced.
func TestADeadNode(t *testing.T) {
	t.Parallel()
	w := &Workload{Functions: []string{"f"}, Servers: 1, Concurrency: 1, DeadNodes: []DeadNode{{100, 1}}, Horizon: 900}
	for range 4 {
		w.add(20, 200, 0)
	}
	var s Simulator
	r := s.Run(w, &always{n: 4}, Config{Targets: []float64{30}})
	ends := 100 + nodeEvicted + 10 + 200.
	if s.left > 0 || r.Created != 8 || r.Interrupted > 0 || s.now < ends-100 {
		t.Errorf(
			"%d jobs left, %d pods made, %d jobs interrupted, over at %.0f s; want 0, 8, 0, after %.0f s", s.left,
			r.Created, r.Interrupted, s.now, ends-100,
		)
	}
}

func TestSaturation(t *testing.T) {
	t.Parallel()
	w := &Workload{Functions: []string{"f"}, Servers: 1, Concurrency: 1, Saturation: 2}
	for range 4 {
		w.add(50, 100, 0)
	}
	var s Simulator
	if s.Run(w, &always{n: 4}, Config{Targets: []float64{30}}); s.now < 50+200 || s.now > 50+206 {
		t.Errorf("four jobs of 100 s on a backend for two end after %.0f s, want 200", s.now-50)
	}
}

func TestReadRecorded(t *testing.T) {
	t.Parallel()
	jobs := recorded()
	if n := len(jobs); n != 19366 || jobs[n-1].At < 3500 || jobs[n-1].At > 3600 {
		t.Errorf("%d jobs, the last at %.0f s; want 19366 within an hour", n, jobs[n-1].At)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte("12,7\n13\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"a line too short": b.Bytes(), "no gzip": []byte("12,7\n")} {
		if _, err := readRecorded(bytes.NewReader(data)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
