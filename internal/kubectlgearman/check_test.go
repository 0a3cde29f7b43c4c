package kubectlgearman

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestCheckFiles(t *testing.T) {
	t.Parallel()
	const pool = "apiVersion: gearman.dev/v1alpha1\nkind: GearmanWorkerPool\nmetadata: {name: resize}\nspec:\n  servers: [gearmand]\n  function: resize\n  image: example.com/resize\n"
	tests := map[string]struct {
		yaml string
		want string // part of the error; "": valid
	}{
		"a valid pool":     {yaml: pool},
		"an unknown field": {yaml: pool + "  maxReplica: 5\n", want: "maxReplica"},
		"crossed bounds": {
			yaml: pool + "  minReplicas: 9\n  maxReplicas: 5\n",
			want: "minReplicas must not be greater than maxReplicas",
		},
		"a schedule typo": {yaml: pool + "  scaling:\n    schedules: [{name: night, start: '0 25 * * *', durationSeconds: 3600, minReplicas: 1}]\n", want: `schedule "night"`},
		"no pool at all": {
			yaml: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", want: "has no GearmanWorkerPool",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "pool.yaml")
			if err := os.WriteFile(file, []byte(tt.yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			pools, err := checkFiles(&out, []string{file})
			switch {
			case tt.want == "" &&
				(err != nil || len(pools) != 1 || !strings.Contains(out.String(), "pool resize is valid")):
				t.Errorf("%v, %d pools, %q", err, len(pools), out.String())
			case tt.want != "" &&
				(err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), file)):
				t.Errorf("the error is %v, want %q and the file's name", err, tt.want)
			}
		})
	}
	if _, err := checkFiles(&bytes.Buffer{}, []string{filepath.Join(t.TempDir(), "none.yaml")}); err == nil {
		t.Error("a missing file is not reported")
	}
}

func TestWriteHistory(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	event := func(name, pool, kind, reason, note string, ago time.Duration) eventsv1.Event {
		return eventsv1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: name}, EventTime: metav1.NewMicroTime(now.Add(-ago)), Type: kind,
			Reason: reason, Note: note,
			Regarding: corev1.ObjectReference{Kind: poolKind, Name: pool},
		}
	}
	series := event("c", "resize", "Warning", "JobsFailing", "half of the jobs fail\x1b[2J", 50*time.Minute)
	series.Series = &eventsv1.EventSeries{Count: 3, LastObservedTime: metav1.NewMicroTime(now.Add(-time.Minute))}
	var out bytes.Buffer
	err := writeHistory(&out, "resize", []eventsv1.Event{
		series, event("b", "other", "Normal", "Scaled", "from 1 to 2", time.Minute),
		event("a", "resize", "Normal", "Scaled", "from 0 to 1", 5*time.Minute),
	}, now)
	want := "AGE   TYPE      REASON        MESSAGE\n" +
		"5m    Normal    Scaled        from 0 to 1\n" +
		"60s   Warning   JobsFailing   half of the jobs fail\ufffd[2J\n"
	if diff := cmp.Diff(want, out.String()); err != nil || diff != "" {
		t.Errorf("%v; history (-want +got):\n%s", err, diff)
	}
	out.Reset()
	if err := writeHistory(&out, "resize", nil, now); err != nil ||
		!strings.HasPrefix(out.String(), "No events about pool resize") {
		t.Errorf("%v, %q", err, out.String())
	}
}
