//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/test/cluster"
)

// What can't work is refused when it is applied, with a message that says what to change.
func TestRefusals(t *testing.T) {
	t.Parallel()
	name := "e2e-refusals"
	must(t, live.MakeNamespace(within(t, time.Minute), name))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := live.DeleteNamespace(ctx, name); err != nil {
			t.Error(err)
		}
	})
	s := &cluster.Stage{Cluster: live, Namespace: name}
	for name, tc := range map[string]struct {
		edit func(spec map[string]any)
		want []string
	}{
		"min above max": {
			edit: func(spec map[string]any) { spec["minReplicas"], spec["maxReplicas"] = int64(5), int64(2) },
			want: []string{"minReplicas", "maxReplicas"},
		},
		"no function":     {edit: func(spec map[string]any) { delete(spec, "function") }, want: []string{"function"}},
		"both functions":  {edit: func(spec map[string]any) { spec["functions"] = []any{"a"} }, want: []string{"function"}},
		"bad job server":  {edit: func(spec map[string]any) { spec["servers"] = []any{"bad host:99999"} }, want: []string{"servers", "host"}},
		"port too large":  {edit: func(spec map[string]any) { spec["servers"] = []any{"host:99999"} }, want: []string{"port"}},
		"no job server":   {edit: func(spec map[string]any) { spec["servers"] = []any{} }, want: []string{"servers"}},
		"job over drain":  {edit: func(spec map[string]any) { spec["drainSeconds"] = int64(30) }, want: []string{"jobTimeoutSeconds", "drainSeconds"}},
		"args of runtime": {edit: func(spec map[string]any) { spec["args"] = []any{"x"} }, want: []string{"args", "runtime"}},
		"mode without its number": {
			edit: func(spec map[string]any) { scaling(spec, "mode", "Manual") },
			want: []string{"manualReplicas"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := s.ApplyPool(within(t, time.Minute), tc.edit)
			if err == nil {
				t.Fatal("it was accepted")
			}
			t.Log(err)
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the message does not speak of %s: %v", want, err)
				}
			}
		})
	}
}
