package kubectlgearman

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/poolrow"
)

func TestListRows(t *testing.T) {
	t.Parallel()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	pool := func(namespace, name string, status v1alpha1.GearmanWorkerPoolStatus) *v1alpha1.GearmanWorkerPool {
		return &v1alpha1.GearmanWorkerPool{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec:       v1alpha1.GearmanWorkerPoolSpec{MinReplicas: 1, MaxReplicas: 10}, Status: status,
		}
	}
	busy := v1alpha1.GearmanWorkerPoolStatus{
		Queue:    v1alpha1.QueueStatus{Queued: 12, Running: 3, OldestWaitSeconds: 2, JobMilliseconds: 250},
		Replicas: 2, ReadyReplicas: 1, DesiredReplicas: 4, Decision: v1alpha1.DecisionStatus{Reason: "TargetWait"},
		Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionJobServersReachable, Status: metav1.ConditionFalse, Reason: "SomeDoNotAnswer"},
		},
	}
	stalled := v1alpha1.GearmanWorkerPoolStatus{
		Decision: v1alpha1.DecisionStatus{Reason: "Steady"},
		Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: "InvalidTLS"},
		},
	}
	builder := func() *fake.ClientBuilder {
		return fake.NewClientBuilder().WithScheme(scheme).WithObjects(
			pool("jobs", "a", busy), pool("jobs", "b", stalled), pool("other", "c", busy),
		)
	}
	rows, err := listRows(t.Context(), builder().Build(), "jobs")
	if err != nil {
		t.Fatal(err)
	}
	want := []poolrow.Row{
		{
			Namespace: "jobs", Pool: "a", Queued: 12, Running: 3, WaitSeconds: 2, JobSeconds: 0.25, Replicas: 2,
			Desired: 4, Ready: 1, Min: 1, Max: 10,
			Partial: true, Reason: "TargetWait", Severity: "warning",
			Problem: "A job server doesn't answer. The pool may scale up but not down.", Rank: 2,
		},
		{
			Namespace: "jobs", Pool: "b", Min: 1, Max: 10, Reason: "InvalidTLS", Severity: "critical",
			Problem: "The TLS Secrets can't be used.", Rank: 3,
		},
	}
	if diff := cmp.Diff(want, arrange(rows, "queued")); diff != "" {
		t.Error(diff)
	}
	if rows, err := listRows(t.Context(), builder().Build(), ""); err != nil || len(rows) != 3 {
		t.Errorf("%d pools of all namespaces, %v", len(rows), err)
	}
	refused := builder().WithInterceptorFuncs(interceptor.Funcs{List: func(
		context.Context, client.WithWatch, client.ObjectList, ...client.ListOption,
	) error {
		return errors.New("refused")
	}}).Build()
	if _, err := listRows(t.Context(), refused, ""); err == nil ||
		!strings.Contains(err.Error(), "list pools: refused") {
		t.Error(err)
	}
}

func TestArrange(t *testing.T) {
	t.Parallel()
	rows := []poolrow.Row{
		{Namespace: "b", Pool: "x", Queued: 1, Running: 5, WaitSeconds: 2, Replicas: 1, Rank: 3},
		{Namespace: "a", Pool: "z", Queued: 1, Running: 6, WaitSeconds: 1, Replicas: 2},
		{Namespace: "a", Pool: "y", Queued: 9, Running: 1, WaitSeconds: 3, Replicas: 3},
	}
	for order, want := range map[string]string{
		"problem": "x y z", "queued": "y z x", "running": "z x y", "wait": "y x z", "replicas": "y z x",
		"name": "y z x",
	} {
		var pools []string
		for _, row := range arrange(rows, order) {
			pools = append(pools, row.Pool)
		}
		if got := strings.Join(pools, " "); got != want {
			t.Errorf("%s: %s, want %s", order, got, want)
		}
	}
}
