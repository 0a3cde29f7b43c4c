package gearmanctl

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/local"
)

// The demo runs all jobs, leaves no process, and its last line says so.
func TestDemo(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the scaling law watches for 30 s before it removes the first worker")
	}
	var out logBuffer
	o := demoOptions{
		jobs: 12, timeout: 2 * time.Minute, result: true, build: 3 * time.Second,
		fleet: local.Options{Program: os.Args[0], ProgramEnv: []string{"GEARMANCTL_TEST=1"}},
	}
	if err := demo(t.Context(), &out, &o); err != nil {
		t.Fatalf("%v; output:\n%s", err, out.String())
	}
	_, line, ok := strings.Cut(out.String(), "RESULT ")
	var result map[string]float64
	if err := json.Unmarshal([]byte(line), &result); !ok || err != nil {
		t.Fatalf("no result (%v) in\n%s", err, out.String())
	}
	want := map[string]float64{"build_s": 3, "jobs": 12, "jobs_completed": 12, "jobs_lost": 0, "final_processes": 0}
	for key, value := range want {
		if got, ok := result[key]; !ok || got != value {
			t.Errorf("%s = %v, want %v", key, got, value)
		}
	}
	for _, key := range []string{"peak_processes", "wait_p99_s", "total_s"} {
		if result[key] <= 0 {
			t.Errorf("%s = %v, want a figure", key, result[key])
		}
	}
	if !strings.Contains(out.String(), "kind: GearmanWorkerPool") ||
		!strings.Contains(out.String(), "gearmanctl up pool.yaml") {
		t.Errorf("the YAML or what to do next is missing in\n%s", out.String())
	}
}

func TestDemoRefusals(t *testing.T) {
	t.Parallel()
	var out logBuffer
	if err := demo(t.Context(), &out, &demoOptions{jobs: 0, timeout: time.Second}); err == nil ||
		!strings.Contains(err.Error(), "--jobs must be") {
		t.Errorf("error = %v, want one about --jobs", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := demoOptions{
		jobs: 3, timeout: time.Minute,
		fleet: local.Options{Program: os.Args[0], ProgramEnv: []string{"GEARMANCTL_TEST=1"}},
	}
	if err := demo(ctx, &out, &o); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("error = %v, want one that says that it was interrupted", err)
	}
}
