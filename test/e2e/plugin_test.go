//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/test/cluster"
)

// plugin runs kubectl gearman in the stage's namespace, via kubectl's search for plugins, and
// returns its output.
func plugin(ctx context.Context, s *cluster.Stage, stdin string, args ...string) (stdout, stderr string, err error) {
	binary := os.Getenv("PLUGIN")
	if binary == "" {
		return "", "", errors.New("PLUGIN is not set: run this by make e2e")
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, append(args, "--kubeconfig", s.Kubeconfig, "--namespace", s.Namespace)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), errs.String(), fmt.Errorf(
			"kubectl gearman %s: %w: %s", strings.Join(args, " "), err, errs.String(),
		)
	}
	return out.String(), errs.String(), nil
}

// TestPlugin tests the plugin on a real cluster: it reaches the operator and job servers via
// port-forwards of its own, with the user's rights.
func TestPlugin(t *testing.T) { //nolint:tparallel // its parts work on one pool, one after the other
	t.Parallel()
	s := stage(t)
	ctx := within(t, 10*time.Minute)
	must(t, s.ApplyPool(ctx, func(spec map[string]any) { spec["minReplicas"] = int64(1) }))
	ready(t, s, 1, 4*time.Minute)

	// says waits until the plugin prints all of want, since the operator may be away for another
	// test.
	says := func(want []string, args ...string) {
		t.Helper()
		eventually(t, 2*time.Minute, func(ctx context.Context) error {
			out, _, err := plugin(ctx, s, "", args...)
			for _, w := range want {
				if err == nil && !strings.Contains(out, w) {
					err = fmt.Errorf("kubectl gearman %s lacks %q:\n%s", strings.Join(args, " "), w, out)
				}
			}
			return err
		})
	}
	says([]string{"reverse", "NAMESPACE", s.Namespace, "REASON"}, "top", "--once")
	says([]string{"reverse", "MIN", "JOB"}, "top", "--once", "-A", "-o", "wide", "--sort", "wait")
	says(
		[]string{"Pool " + s.Namespace + "/reverse serves reverse", "1 (1 ready)", "Job servers:"}, "explain",
		"reverse", "--numbers",
	)
	for _, server := range []string{"svc/gearmand", "pod/gearmand-0", "pool/reverse"} {
		says([]string{s.Namespace + "/gearmand-0", "reverse"}, "status", server)
	}
	says([]string{"gwp1;u=", "reverse"}, "workers", "svc/gearmand")
	says([]string{s.Namespace + "/gearmand-0", "gearmand"}, "version", "svc/gearmand")

	t.Run("top tells what the pool has", func(t *testing.T) {
		var rows []struct {
			Pool  string  `json:"pool"`
			Ready float64 `json:"readyReplicas"`
			Max   float64 `json:"maxReplicas"`
		}
		eventually(t, 2*time.Minute, func(ctx context.Context) error {
			out, _, err := plugin(ctx, s, "", "top", "-o", "json")
			if err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(out), &rows); err != nil {
				return err
			}
			if len(rows) != 1 || rows[0].Pool != "reverse" || rows[0].Ready != 1 || rows[0].Max != 20 {
				return fmt.Errorf("rows = %+v", rows)
			}
			return nil
		})
	})

	t.Run("submit", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "workload")
		must(t, os.WriteFile(file, []byte("file 0.01 elif"), 0o600))
		for name, tc := range map[string]struct {
			stdin string
			args  []string
			want  string
		}{
			"data":  {args: []string{"--data", "data 0.01 atad"}, want: "data\n"},
			"file":  {args: []string{"--file", file}, want: "file\n"},
			"stdin": {stdin: "stdin 0.01 nidts", args: []string{"--file", "-"}, want: "stdin\n"},
		} {
			out, _, err := plugin(
				ctx, s, tc.stdin, append([]string{"submit", "reverse", "--to", "svc/gearmand"}, tc.args...)...,
			)
			if err != nil || out != tc.want {
				t.Errorf("%s: %q, %v; want %q", name, out, err, tc.want)
			}
		}
		// The id becomes the job's id in the ledger.
		if _, _, err := plugin(
			ctx, s, "", "submit", "reverse", "--to", "pool/reverse", "--background", "--data", "behind 0.01 x",
		); err != nil {
			t.Error(err)
		}
		allRanOnce(t, s, []cluster.Job{{ID: "behind"}}, time.Minute)
	})

	t.Run("record", func(t *testing.T) {
		trace := filepath.Join(t.TempDir(), "trace.csv")
		recorded := make(chan error, 1)
		go func() {
			_, _, err := plugin(
				ctx, s, "", "record", "svc/gearmand", "--function", "reverse", "--duration", "15s", "-f", trace,
			)
			recorded <- err
		}()
		time.Sleep(2 * time.Second) // it must have polled once before the jobs come
		must(t, s.Submit(ctx, jobs("recorded", 5, time.Second)))
		must(t, <-recorded)
		data, err := os.ReadFile(trace)
		must(t, err)
		if !strings.Contains(string(data), "reverse") {
			t.Errorf("the trace holds no job:\n%s", data)
		}
	})

	t.Run("pause, scale, resume", func(t *testing.T) {
		for _, tc := range []struct {
			args []string
			want v1alpha1.ScalingMode
		}{
			{[]string{"pause", "reverse"}, v1alpha1.ModePaused},
			{[]string{"scale", "reverse", "--replicas", "2"}, v1alpha1.ModeManual},
			{[]string{"resume", "reverse"}, v1alpha1.ModeAuto},
		} {
			_, _, err := plugin(ctx, s, "", tc.args...)
			must(t, err)
			p, err := s.Pool(ctx)
			must(t, err)
			if p.Spec.Scaling == nil || p.Spec.Scaling.Mode != tc.want {
				t.Errorf("after %v: scaling = %+v, want mode %s", tc.args, p.Spec.Scaling, tc.want)
			}
			if tc.want == v1alpha1.ModeManual {
				ready(t, s, 2, 3*time.Minute)
			}
		}
	})
}
