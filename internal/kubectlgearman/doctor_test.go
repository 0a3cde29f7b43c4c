package kubectlgearman

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/poolrow"
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
				Servers: []v1alpha1.ServerStatus{
					{Address: "a:4730", State: "OK"}, {Address: "b:4730", State: "Refused"},
				},
			},
		}
	}
	paused := metav1.Condition{Type: "ScalingActive", Status: metav1.ConditionFalse, Reason: "Paused"}
	failing := metav1.Condition{
		Type: "JobsFailing", Status: metav1.ConditionTrue, Reason: "MostJobsFail", Message: "half fail",
		LastTransitionTime: metav1.NewTime(time.Date(2026, 1, 2, 2, 4, 0, 0, time.UTC)),
	}
	tests := map[string]struct {
		found examination
		want  string
		err   error
	}{
		"all is well": {examination{operator: []corev1.Pod{pod(corev1.ConditionTrue)}}, `Operator:
  gearman-system/gearman-operator-1: ready, example.com/gearman-operator:0.1.0
  this plugin: dev

Pools: 0, problems: 0
`, nil},
		"problems, the worst first": {
			examination{
				operator: []corev1.Pod{pod(corev1.ConditionTrue)},
				pools:    []v1alpha1.GearmanWorkerPool{pool("a", paused), pool("b", failing)},
				now:      time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			}, `Operator:
  gearman-system/gearman-operator-1: ready, example.com/gearman-operator:0.1.0
  this plugin: dev

Age of what follows:
  statuses of the pools: unknown; the API server does not report when they were written
  answers of the job servers: see --operator-namespace, or ` + "`kubectl gearman top`" + `

Job servers, as the operator sees them:
  b:4730   Refused   2 pools
  a:4730   OK        2 pools

Pools: 2, problems: 2
  CRITICAL jobs/b: Jobs fail.
    Why: half fail
    Since: 2026-01-02T02:04:00Z (60m ago)
    Try: kubectl logs -l gearman.dev/pool=b -n jobs -c worker --tail 50
    Try: If the failures began with a new image, go back to the old one.
    Try: kubectl edit gwp b -n jobs
  INFO jobs/a: Scaling is paused.
    Try: kubectl gearman resume a -n jobs
`, errCritical,
		},
		"no operator": {examination{operator: []corev1.Pod{pod(corev1.ConditionFalse)}}, `Operator:
  gearman-system/gearman-operator-1: not ready, example.com/gearman-operator:0.1.0
  this plugin: dev
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

// The leader is the pod whose name the lease begins with, and pods of two versions are reported.
func TestDoctorNamesTheLeader(t *testing.T) {
	t.Parallel()
	pod := func(name, image string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "gearman-system", Name: name, Labels: operatorLabels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Image: image}}},
			Status: corev1.PodStatus{
				Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			},
		}
	}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "gearman-system", Name: leaseName}}
	lease.Spec.HolderIdentity = new("operator-b_1234")
	lease.Spec.RenewTime = new(metav1.NewMicroTime(time.Unix(1_700_000_000, 0)))
	found, err := examine(
		t.Context(), fakeAPI(t, pod("operator-a", "i:1"), pod("operator-b", "i:2"), lease).Build(), "",
	)
	if err != nil {
		t.Fatal(err)
	}
	if time.Since(found.now) > time.Hour {
		t.Errorf("examined at %v", found.now)
	}
	found.now = time.Unix(1_700_000_003, 0)
	var out bytes.Buffer
	if err := found.write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"operator-a: ready, i:1\n", "operator-b: ready, leader (renewed its lease 3s ago), i:2\n",
		"WARNING: the operator's pods run different images",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}
	if found, err := examine(t.Context(), fakeAPI(t, pod("operator-a", "i:1")).Build(), ""); err != nil ||
		found.leader != "" {
		t.Errorf("without a lease: %q, %v", found.leader, err)
	}
}

// Doctor prints the age of the statuses, and of the job servers' answers if the operator was
// queried.
func TestDoctorAges(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	written := func(ago time.Duration) v1alpha1.GearmanWorkerPool {
		pool := v1alpha1.GearmanWorkerPool{}
		pool.ManagedFields = []metav1.ManagedFieldsEntry{{
			Subresource: "status", Time: &metav1.Time{Time: now.Add(-ago)},
			FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:decision":{}}}`),
		}}
		return pool
	}
	tests := map[string]struct {
		pools []v1alpha1.GearmanWorkerPool
		rows  []poolrow.Row
		want  []string
	}{
		"no pools": {},
		"statuses": {
			pools: []v1alpha1.GearmanWorkerPool{written(time.Hour), {}, written(20 * time.Second)},
			want: []string{
				"statuses of the pools: written 20s to 60m ago; the operator writes one when it changes",
				"answers of the job servers: see --operator-namespace",
			},
		},
		"one status, of a clock that is ahead": {
			pools: []v1alpha1.GearmanWorkerPool{written(-time.Minute)}, want: []string{"pools: written 0s ago;"},
		},
		"answers": {
			pools: []v1alpha1.GearmanWorkerPool{written(time.Second)},
			rows: []poolrow.Row{
				{FiguresAgeSeconds: new(2.0), Silent: []poolrow.Silent{
					{Server: "b:4730", State: "Refused", AnswerAgeSeconds: new(20.0)}, {Server: "c\x1b:4730", State: "NoAnswer"},
				}},
				{FiguresAgeSeconds: new(0.5), Silent: []poolrow.Silent{
					{Server: "b:4730", State: "Refused", AnswerAgeSeconds: new(40.0)},
					{Server: "c\x1b:4730", State: "NoAnswer", AnswerAgeSeconds: new(3.0)},
				}},
				{},
			},
			want: []string{
				"answers of the job servers: 500ms to 2s old; 1 of 3 pools have no answer yet",
				"  b:4730 last answered 40s ago (Refused)\n  c\ufffd:4730 has never answered (NoAnswer)\n",
			},
		},
		"no answer": {
			pools: []v1alpha1.GearmanWorkerPool{{}}, rows: []poolrow.Row{{}},
			want: []string{"answers of the job servers: no job server has answered yet"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			found := examination{pools: tt.pools, rows: tt.rows, now: now}
			found.writeAges(&printer{out: &out})
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("lacks %q:\n%s", want, out.String())
				}
			}
			if len(tt.want) == 0 && out.Len() > 0 {
				t.Errorf("nothing is shown, but there is an age:\n%s", out.String())
			}
		})
	}
}
