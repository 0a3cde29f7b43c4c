package diagnosis

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

func TestOf(t *testing.T) {
	t.Parallel()
	condition := func(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: "because"}
	}
	tests := map[string]struct {
		conditions []metav1.Condition
		queued     int64
		want       []string // severity, condition and reason
	}{
		"a new pool": {},
		"all is well": {conditions: []metav1.Condition{
			condition("Ready", metav1.ConditionTrue, "AsExpected"),
			condition("Stalled", metav1.ConditionFalse, "AsExpected"),
			condition("JobServersReachable", metav1.ConditionTrue, "AllAnswer"),
			condition("ScalingActive", metav1.ConditionTrue, "AsExpected"),
		}},
		"one cause is reported once, the worst first": {
			conditions: []metav1.Condition{
				condition("ScalingActive", metav1.ConditionFalse, "Paused"),
				condition("FunctionShared", metav1.ConditionTrue, "SharedWithPools"),
				condition("Stalled", metav1.ConditionTrue, "InvalidScaling"),
				condition("Ready", metav1.ConditionFalse, "InvalidScaling"),
			},
			want: []string{
				"critical Stalled InvalidScaling", "warning FunctionShared SharedWithPools",
				"info ScalingActive Paused",
			},
		},
		"in the order of a status, Ready gives way to what explains it": {
			conditions: []metav1.Condition{
				condition("JobServersReachable", metav1.ConditionFalse, "NoneAnswers"),
				condition("Ready", metav1.ConditionFalse, "NoneAnswers"),
				condition("WorkersUnfit", metav1.ConditionTrue, "ServiceUnreachable"),
				condition("Ready", metav1.ConditionFalse, "ServiceUnreachable"),
			},
			want: []string{"critical JobServersReachable NoneAnswers", "critical WorkersUnfit ServiceUnreachable"},
		},
		"growth that is held back": {
			conditions: []metav1.Condition{
				condition("Ready", metav1.ConditionFalse, "PodsNotStarting"),
				condition("ScalingLimited", metav1.ConditionTrue, "PodsBlocked"),
			},
			want: []string{"critical Ready PodsNotStarting", "warning ScalingLimited PodsBlocked"},
		},
		"writes that fail": {
			conditions: []metav1.Condition{condition("Ready", metav1.ConditionFalse, "Retrying")},
			want:       []string{"critical Ready Retrying"},
		},
		"pods that don't stop": {
			conditions: []metav1.Condition{condition("TerminatingPodsTakeJobs", metav1.ConditionTrue, "NotStopping")},
			want:       []string{"warning TerminatingPodsTakeJobs NotStopping"},
		},
		"a maximum that nobody waits at": {
			conditions: []metav1.Condition{condition("ScalingLimited", metav1.ConditionTrue, "TooManyReplicas")},
		},
		"a maximum with a queue": {
			conditions: []metav1.Condition{condition("ScalingLimited", metav1.ConditionTrue, "TooManyReplicas")},
			queued:     1, want: []string{"warning ScalingLimited TooManyReplicas"},
		},
		"the user's own minimum": {
			conditions: []metav1.Condition{condition("ScalingLimited", metav1.ConditionTrue, "TooFewReplicas")},
			queued:     1,
		},
		"a rollout": {
			conditions: []metav1.Condition{condition("Ready", metav1.ConditionFalse, "Rollout")},
		},
		"an unknown reason": {
			conditions: []metav1.Condition{condition("Ready", metav1.ConditionFalse, "News")},
			want:       []string{"critical Ready News"},
		},
		"an unknown condition": {
			conditions: []metav1.Condition{condition("Odd", metav1.ConditionTrue, "News")},
		},
		"stalled for an unknown reason": {
			conditions: []metav1.Condition{condition("Stalled", metav1.ConditionTrue, "News")},
			want:       []string{"critical Stalled News"},
		},
		"not polled yet is not yet trouble": {
			conditions: []metav1.Condition{
				condition("JobServersReachable", metav1.ConditionUnknown, "NotYetPolled"),
				condition("ScalingActive", metav1.ConditionFalse, "NotYetPolled"),
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := &v1alpha1.GearmanWorkerPool{ObjectMeta: metav1.ObjectMeta{Namespace: "jobs", Name: "resize"}}
			pool.Status.Conditions, pool.Status.Queue.Queued = tt.conditions, tt.queued
			var got []string
			for _, p := range Of(pool) {
				got = append(got, p.Severity.String()+" "+p.Condition+" "+p.Reason)
				if p.Title == "" || p.Why != "because" {
					t.Errorf("%s: title %q, why %q", p.Reason, p.Title, p.Why)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			worst, ok := Worst(pool)
			if ok != (len(got) > 0) || ok && worst.Reason != Of(pool)[0].Reason {
				t.Errorf("worst is %v, %v", worst, ok)
			}
		})
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	condition := func(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: reason}
	}
	stalled, ready := condition(
		"Stalled", metav1.ConditionTrue, "InvalidTLS",
	), condition("Ready", metav1.ConditionFalse, "InvalidTLS")
	tests := map[string]struct {
		before, after []metav1.Condition
		want          []string
	}{
		"a new problem, once": {nil, []metav1.Condition{ready, stalled}, []string{"InvalidTLS"}},
		"the same problem":    {[]metav1.Condition{ready, stalled}, []metav1.Condition{ready, stalled}, nil},
		"another reason": {
			[]metav1.Condition{stalled},
			[]metav1.Condition{condition("Stalled", metav1.ConditionTrue, "TargetTaken")},
			[]string{"TargetTaken"},
		},
		"fixed": {
			[]metav1.Condition{stalled},
			[]metav1.Condition{condition("Stalled", metav1.ConditionFalse, "AsExpected")},
			nil,
		},
		"a user's wish is no news": {
			nil, []metav1.Condition{condition("ScalingActive", metav1.ConditionFalse, "Paused")}, nil,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, p := range New(tt.before, tt.after) {
				got = append(got, p.Reason)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("new problems (-want +got):\n%s", diff)
			}
		})
	}
}

// Every entry belongs to a condition that can be unhealthy, has a title, and its commands name the
// pool.
func TestAdvice(t *testing.T) {
	t.Parallel()
	pool := &v1alpha1.GearmanWorkerPool{ObjectMeta: metav1.ObjectMeta{Namespace: "jobs", Name: "resize"}}
	for k, a := range adviceTable {
		if _, ok := unhealthy[k.condition]; !ok {
			t.Errorf("%v: no status makes this a problem", k)
		}
		if a.title == "" || len(a.try) == 0 {
			t.Errorf("%v: needs a title and something to try", k)
		}
		for _, line := range fill(a.try, pool) {
			if strings.Contains(line, "POOL") || strings.Contains(line, "NAMESPACE") ||
				strings.HasPrefix(line, "kubectl") && !strings.Contains(line, "-n jobs") &&
					!strings.Contains(line, " -A ") {
				t.Errorf("%v: %q", k, line)
			}
		}
	}
}

// A condition whose reason has advice of its own never falls back to the condition's words.
func TestAdviceOfRetrying(t *testing.T) {
	t.Parallel()
	pool := &v1alpha1.GearmanWorkerPool{ObjectMeta: metav1.ObjectMeta{Namespace: "jobs", Name: "resize"}}
	pool.Status.Conditions = []metav1.Condition{
		{Type: "Ready", Status: metav1.ConditionFalse, Reason: "Retrying", Message: "forbidden"},
	}
	worst, ok := Worst(pool)
	if !ok || worst.Title == "forbidden" || worst.Why != "forbidden" || len(worst.Try) < 2 {
		t.Errorf("%+v, %v", worst, ok)
	}
}
