package kubectlgearman

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 9, 5, 0, time.UTC)
	decided := &v1alpha1.GearmanWorkerPool{
		ObjectMeta: metav1.ObjectMeta{Name: "resize", Namespace: "jobs", Generation: 3},
		Spec: v1alpha1.GearmanWorkerPoolSpec{
			Function: "resize", Servers: []v1alpha1.ServerAddress{"gearmand", "other:4731"}, MaxReplicas: 50,
		},
		Status: v1alpha1.GearmanWorkerPoolStatus{
			ObservedGeneration: 3, Functions: "resize", Replicas: 4, ReadyReplicas: 3, DesiredReplicas: 7,
			Queue: v1alpha1.QueueStatus{Queued: 120, Running: 4, OldestWaitSeconds: 12},
			LastHour: &v1alpha1.OutcomeStatus{
				Completed: 990, Failed: 10, DeadLettered: 4, Requeued: 1, Retried: 7,
				Started: 1000, Late: 32, LateAtLeast: 29, LateAtMost: 36,
			},
			Decision: v1alpha1.DecisionStatus{
				Reason: "TargetWait", Message: "queued jobs would start later than the target wait",
				Terms: map[string]int64{
					"queued": 120, "missingMilliSlots": 2750, "jobMilliseconds": 1500, "futureTerm": 9,
				},
			},
			Servers:    []v1alpha1.ServerStatus{{Address: "10.0.0.1:4730", State: "OK"}},
			Conditions: []metav1.Condition{{Type: "Ready", Status: "True", Reason: "AsExpected"}},
		},
	}
	decided.Status.LastScaleTime = &metav1.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	broken := decided.DeepCopy()
	broken.Spec.Scaling = &v1alpha1.ScalingSpec{
		Mode: v1alpha1.ModeDryRun, JobsPerReplica: new(int32(5)),
		Schedules: []v1alpha1.Schedule{
			{
				Name: "night", Start: "0 3 * * *", DurationSeconds: 3600, MinReplicas: new(int32(2)),
				MaxReplicas: new(int32(8)),
			},
		},
	}
	broken.Status.Conditions = []metav1.Condition{
		{Type: "ScalingActive", Status: "False", Reason: "DryRun", Message: "scaling.mode is DryRun"},
		{
			Type: "JobServersReachable", Status: "False", Reason: "SomeDoNotAnswer",
			Message:            "10.0.0.2:4730: Refused\x1b[31m",
			LastTransitionTime: metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
		},
	}
	fresh := &v1alpha1.GearmanWorkerPool{ObjectMeta: metav1.ObjectMeta{Name: "new", Namespace: "jobs", Generation: 1}}
	fresh.Spec.Function, fresh.Spec.Servers = "mail", []v1alpha1.ServerAddress{"gearmand"}

	tests := map[string]struct {
		pool    *v1alpha1.GearmanWorkerPool
		numbers bool
		want    string
	}{
		"a decision": {pool: decided, want: `Pool jobs/resize serves resize on gearmand, other:4731.

No problem is reported.

Replicas:      4 (3 ready), 7 desired
Bounds:        0 to 50
Mode:          Auto
Queue:         120 queued, 4 running, the oldest has waited for 12s (target 30s)
Last hour:     990 completed, 10 failed (4 of them went to the dead letter function), 1 requeued, 7 failed and retried; 1000 started, 3.2% late (2.9% to 3.6%)
Decision:      TargetWait: queued jobs would start later than the target wait
Last scaled:   2026-01-02T03:04:05Z (5m ago)
`},
		"problems first": {pool: broken, want: `Pool jobs/resize serves resize on gearmand, other:4731.

WARNING: A job server doesn't answer. The pool may scale up but not down.
  Why: 10.0.0.2:4730: Refused�[31m
  Since: 2026-01-02T03:04:05Z (5m ago)
  Try: Check that job server. If it is gone for good, remove it from spec.servers.
       kubectl gearman status pool/resize -n jobs

INFO: The pool only reports decisions (DryRun).
  Why: scaling.mode is DryRun
  Try: Set scaling.mode to Auto to let the operator scale.
       kubectl edit gwp resize -n jobs

Replicas:      4 (3 ready), 7 desired
Bounds:        2 to 8 (schedule night; the spec says 0 to 50)
Mode:          DryRun
Queue:         120 queued, 4 running, the oldest has waited for 12s (target 5 queued jobs for each replica)
Figures:       a job server has not answered for 5m
Last hour:     990 completed, 10 failed (4 of them went to the dead letter function), 1 requeued, 7 failed and retried; 1000 started, 3.2% late (2.9% to 3.6%)
Decision:      TargetWait: queued jobs would start later than the target wait
Last scaled:   2026-01-02T03:04:05Z (5m ago)
`},
		"with numbers": {pool: decided, numbers: true, want: `Pool jobs/resize serves resize on gearmand, other:4731.

No problem is reported.

Replicas:      4 (3 ready), 7 desired
Bounds:        0 to 50
Mode:          Auto
Queue:         120 queued, 4 running, the oldest has waited for 12s (target 30s)
Last hour:     990 completed, 10 failed (4 of them went to the dead letter function), 1 requeued, 7 failed and retried; 1000 started, 3.2% late (2.9% to 3.6%)
Decision:      TargetWait: queued jobs would start later than the target wait
Last scaled:   2026-01-02T03:04:05Z (5m ago)

Numbers behind the decision:
  120    jobs are queued and runnable
  2.75   more slots are needed to start the queued jobs in time
  1.5s   mean job time (estimated until a job has completed)
  9      futureTerm

Job servers:
  10.0.0.1:4730   OK

Conditions:
  Ready   True   AsExpected
`},
		"a new pool": {pool: fresh, want: `Pool jobs/new serves mail on gearmand.
The operator has not processed the latest change of the pool yet. What follows describes the state before it.

No problem is reported.

The operator has not decided on this pool yet.
`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := writeExplanation(&out, explainOptions{numbers: tt.numbers, now: now}, tt.pool); err != nil {
				t.Fatal(err)
			}
			got := regexp.MustCompile(` +\n`).ReplaceAllString(out.String(), "\n")
			if diff := cmp.Diff(strings.ReplaceAll(tt.want, `\ufffd`, "\ufffd"), got); diff != "" {
				t.Errorf("explanation (-want +got):\n%s", diff)
			}
		})
	}
	for format, wants := range map[string][]string{
		"json": {`"reason": "TargetWait"`, `"severity": "warning"`}, "yaml": {"reason: TargetWait", "severity: warning"},
	} {
		var out bytes.Buffer
		if err := writeExplanation(&out, explainOptions{format: format, now: now}, broken); err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(out.String(), want) {
				t.Errorf("as %s: no %s in\n%s", format, want, out.String())
			}
		}
	}
}
