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
	decided := &v1alpha1.GearmanWorkerPool{
		ObjectMeta: metav1.ObjectMeta{Name: "resize", Namespace: "jobs", Generation: 3},
		Spec:       v1alpha1.GearmanWorkerPoolSpec{Servers: []v1alpha1.ServerAddress{"gearmand", "other:4731"}, MaxReplicas: 50},
		Status: v1alpha1.GearmanWorkerPoolStatus{
			ObservedGeneration: 3, Functions: "resize", Replicas: 4, ReadyReplicas: 3, DesiredReplicas: 7,
			Decision: v1alpha1.DecisionStatus{
				Reason: "TargetWait", Message: "queued jobs would start later than the target wait",
				Terms: map[string]int64{"queued": 120, "missingMilliSlots": 2750, "jobMilliseconds": 1500, "futureTerm": 9},
			},
			Servers:    []v1alpha1.ServerStatus{{Address: "10.0.0.1:4730", State: "OK"}},
			Conditions: []metav1.Condition{{Type: "Ready", Status: "True", Reason: "Ready", Message: "all is well"}},
		},
	}
	decided.Status.LastScaleTime = &metav1.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	fresh := &v1alpha1.GearmanWorkerPool{ObjectMeta: metav1.ObjectMeta{Name: "new", Namespace: "jobs", Generation: 1}}
	fresh.Spec.Servers = []v1alpha1.ServerAddress{"gearmand"}

	tests := map[string]struct {
		pool *v1alpha1.GearmanWorkerPool
		want string
	}{
		"a decision": {decided, `Pool jobs/resize serves resize on gearmand, other:4731.

4 replicas (3 ready), 7 wanted, between 0 and 50.
TargetWait: queued jobs would start later than the target wait.

The numbers behind it:
  120    jobs wait and can be handed out
  2.75   slots are missing for the queue to start in time
  1.5s   a job takes (learnt from jobs that ended well; a guess until one has)
  9      futureTerm

Job servers:
  10.0.0.1:4730   OK

Conditions:
  Ready   True   Ready   all is well

Last scaled at 2026-01-02T03:04:05Z.
`},
		"a new pool": {fresh, `Pool jobs/new serves  on gearmand.
The operator has not seen the latest change of the pool yet: what follows is older.

Nothing was decided yet.
`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := writeExplanation(&out, "", tt.pool); err != nil {
				t.Fatal(err)
			}
			got := regexp.MustCompile(` +\n`).ReplaceAllString(out.String(), "\n")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("explanation (-want +got):\n%s", diff)
			}
		})
	}
	for format, want := range map[string]string{"json": `"reason": "TargetWait"`, "yaml": "reason: TargetWait"} {
		var out bytes.Buffer
		if err := writeExplanation(&out, format, decided); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("as %s: %v\n%s", format, err, out.String())
		}
	}
}
