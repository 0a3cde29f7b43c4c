package kubectlgearman

import (
	"bytes"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/poolrow"
)

func TestFiguresAge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	written := func(ago time.Duration, subresource, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{
			Subresource: subresource, Time: &metav1.Time{Time: now.Add(-ago)},
			FieldsV1: metav1.NewFieldsV1(fields),
		}
	}
	const status = `{"f:status":{"f:decision":{}}}`
	silent := []metav1.Condition{{
		Type: v1alpha1.ConditionJobServersReachable, Status: metav1.ConditionFalse,
		LastTransitionTime: metav1.NewTime(now.Add(-40 * time.Second)),
	}}
	tests := map[string]struct {
		fields     []metav1.ManagedFieldsEntry
		conditions []metav1.Condition
		live       *poolrow.Row
		want       string
	}{
		"nothing is known": {},
		"a status": {
			fields: []metav1.ManagedFieldsEntry{
				written(3*time.Second, "", `{"f:spec":{}}`),
				written(time.Second, "status", `{"f:status":{"f:conditions":{}}}`),
				written(20*time.Second, "status", status), written(time.Hour, "status", status),
			},
			want: "the status was written 20s ago",
		},
		"an old status, a silent job server": {
			fields: []metav1.ManagedFieldsEntry{written(time.Hour, "status", status)}, conditions: silent,
			want: "the status was written 60m ago; since then they have changed by a tenth at most, unless the operator is" +
				" down (kubectl gearman doctor); a job server has not answered for 40s",
		},
		"a clock that is behind": {
			fields: []metav1.ManagedFieldsEntry{written(-time.Minute, "status", status)},
			want:   "the status was written 0s ago",
		},
		"live": {
			live: &poolrow.Row{FiguresAgeSeconds: new(2.04), Silent: []poolrow.Silent{
				{Server: "b:4730", State: "Refused", AnswerAgeSeconds: new(40.)}, {Server: "c\x1b:4730", State: "NoAnswer"},
			}},
			conditions: silent,
			want:       "2s old; b:4730 last answered 40s ago (Refused); c\ufffd:4730 has never answered (NoAnswer)",
		},
		"live, no answer yet": {live: &poolrow.Row{}, want: "no job server has answered yet"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := &v1alpha1.GearmanWorkerPool{}
			pool.ManagedFields, pool.Status.Conditions = tt.fields, tt.conditions
			if got := figuresAge(explainOptions{now: now, live: tt.live}, pool); got != tt.want {
				t.Errorf("figuresAge = %q\nwant         %q", got, tt.want)
			}
		})
	}
}

// The queue of an explanation is the operator's if it was queried.
func TestExplainLive(t *testing.T) {
	t.Parallel()
	pool := &v1alpha1.GearmanWorkerPool{ObjectMeta: metav1.ObjectMeta{Namespace: "jobs", Name: "resize"}}
	pool.Status.Decision.Reason, pool.Status.Queue.Queued = "Steady", 120
	rows := []poolrow.Row{
		{Namespace: "jobs", Pool: "other"},
		{Namespace: "jobs", Pool: "resize", Queued: 7, Running: 2, WaitSeconds: 3, FiguresAgeSeconds: new(0.5)},
	}
	live, err := rowOf(rows, pool)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeExplanation(&out, explainOptions{now: time.Unix(1_700_000_000, 0), live: live}, pool); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"7 queued, 2 running, the oldest has waited for 3s", "500ms old"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if _, err := rowOf(rows[:1], pool); err == nil || !strings.Contains(err.Error(), "does not know pool jobs/resize") {
		t.Errorf("error = %v, want one about a pool that the operator does not know", err)
	}
}
