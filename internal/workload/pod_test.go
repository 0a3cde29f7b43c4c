package workload

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

func TestBelongsTo(t *testing.T) {
	t.Parallel()
	owned := func(kind, name string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Labels:          map[string]string{"pod-template-hash": "5d9"},
			OwnerReferences: []metav1.OwnerReference{{Kind: kind, Name: name, UID: "u-1", Controller: new(true)}},
		}}
	}
	tests := map[string]struct {
		pod  *corev1.Pod
		kind string
		want bool
	}{
		"of its ReplicaSet":           {owned("ReplicaSet", "web-5d9"), "Deployment", true},
		"of a longer name's":          {owned("ReplicaSet", "web-api-5d9"), "Deployment", false},
		"of a Job":                    {owned("Job", "web-5d9"), "Deployment", false},
		"of nobody":                   {&corev1.Pod{}, "Deployment", false},
		"of the StatefulSet":          {owned("StatefulSet", "web"), "StatefulSet", true},
		"of nobody, in a StatefulSet": {&corev1.Pod{}, "StatefulSet", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := BelongsTo(tt.pod, &v1alpha1.TargetRef{Kind: tt.kind, Name: "web"}, "u-1"); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}
