package kubectlgearman

import (
	"bytes"
	"errors"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

func TestDoctor(t *testing.T) {
	t.Parallel()
	pod := func(ready corev1.ConditionStatus) corev1.Pod {
		return corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "gearman-system", Name: "gearman-operator-1"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Image: "example.com/gearman-operator:0.1.0"}}},
			Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
		}
	}
	pool := func(name string, conditions ...metav1.Condition) v1alpha1.GearmanWorkerPool {
		return v1alpha1.GearmanWorkerPool{
			ObjectMeta: metav1.ObjectMeta{Namespace: "jobs", Name: name},
			Status: v1alpha1.GearmanWorkerPoolStatus{
				Conditions: conditions,
				Servers:    []v1alpha1.ServerStatus{{Address: "a:4730", State: "OK"}, {Address: "b:4730", State: "Refused"}},
			},
		}
	}
	paused := metav1.Condition{Type: "ScalingActive", Status: metav1.ConditionFalse, Reason: "Paused"}
	failing := metav1.Condition{Type: "JobsFailing", Status: metav1.ConditionTrue, Reason: "MostJobsFail", Message: "half fail"}
	tests := map[string]struct {
		found examination
		want  string
		err   error
	}{
		"all is well": {examination{operator: []corev1.Pod{pod(corev1.ConditionTrue)}}, `Operator:
  gearman-system/gearman-operator-1: ready, example.com/gearman-operator:0.1.0

Pools: 0, problems: 0
`, nil},
		"problems, the worst first": {
			examination{
				operator: []corev1.Pod{pod(corev1.ConditionTrue)},
				pools:    []v1alpha1.GearmanWorkerPool{pool("a", paused), pool("b", failing)},
			}, `Operator:
  gearman-system/gearman-operator-1: ready, example.com/gearman-operator:0.1.0

Job servers, as the operator sees them:
  b:4730   Refused   2 pools
  a:4730   OK        2 pools

Pools: 2, problems: 2
  CRITICAL jobs/b: Jobs fail.
    Why: half fail
    Try: kubectl logs -l gearman.dev/pool=b -n jobs -c worker --tail 50
    Try: If it began with a new image, put the old one back.
    Try: kubectl edit gwp b -n jobs
  INFO jobs/a: Scaling is paused.
    Try: kubectl gearman resume a -n jobs
`, errCritical,
		},
		"no operator": {examination{operator: []corev1.Pod{pod(corev1.ConditionFalse)}}, `Operator:
  gearman-system/gearman-operator-1: not ready, example.com/gearman-operator:0.1.0
  CRITICAL: no ready pod of the operator was found. Nothing is scaled.
    Try: kubectl get pods -A -l app.kubernetes.io/name=gearman-operator

Pools: 0, problems: 0
`, errCritical},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := tt.found.write(&out); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, regexp.MustCompile(` +\n`).ReplaceAllString(out.String(), "\n")); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
		})
	}
}
