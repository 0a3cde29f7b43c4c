package sim

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestExampleOfTheDocs runs the example of docs/how-scaling-works.md and checks the numbers on that
// page.
func TestExampleOfTheDocs(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/how-scaling-works.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	prose := strings.Join(strings.Fields(page), " ") // without line breaks
	const begin = 300
	w := &Workload{Functions: []string{"resize"}, Servers: 1, Concurrency: 1, Horizon: 1200}
	for i := range 40 { // the pool learns from these
		w.add(20+2*float64(i), 4, 0)
	}
	for i := range 300 {
		w.add(begin+0.02*float64(i), 4, 0)
	}
	for i := range 150 {
		w.add(begin+20+3*float64(i), 4, 0)
	}
	var s Simulator
	o := ours(30 * time.Second)
	r := s.Run(w, o, Config{Seed: 3, Targets: []float64{30}, Trace: func(p Point) {
		switch at := p.At - begin; at {
		case 0, 5, 20, 35:
			row := fmt.Sprintf("| %.0f | %d | %d | %d |", at, p.Queued, p.Working, p.Replicas)
			if !strings.Contains(page, row) {
				t.Errorf("the page lacks the row %s", row)
			}
		case 55:
			if want := fmt.Sprintf(
				"wants %d replicas, and has %d", o.decision.Replicas, p.Replicas,
			); !strings.Contains(prose, want) {
				t.Errorf("the page lacks %q", want)
			}
		case 65:
			if want := fmt.Sprintf("%d pods are left", p.Replicas); !strings.Contains(prose, want) {
				t.Errorf("the page lacks %q", want)
			}
		}
	}})
	took := int(r.WorkerHours*3600) / 10 * 10
	five, one := s.Run(
		w, KEDATuned(5), Config{Seed: 3, Targets: []float64{30}},
	), s.Run(w, KEDATuned(1), Config{Seed: 3, Targets: []float64{30}})
	for _, want := range []string{
		fmt.Sprintf("waited %.0f s", r.Quantile(0.99)), fmt.Sprintf("%d,%03d pod-seconds", took/1000, took%1000),
		fmt.Sprintf("starts %.0f%% of these jobs late on %d pods", five.MissPercent(0), five.Peak),
		fmt.Sprintf("orders %d pods", one.Peak), fmt.Sprintf("uses %.1f times", one.WorkerHours/r.WorkerHours),
		fmt.Sprintf("starts %.0f%% late", one.MissPercent(0)),
	} {
		if !strings.Contains(prose, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if r.Late[0] > 0 || r.Interrupted > 0 {
		t.Errorf("%d jobs late, %d interrupted", r.Late[0], r.Interrupted)
	}
}
