package examples

import (
	"bytes"
	"os"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// TestGearmandYAML: the job servers of the examples are what Kubernetes reads, and a NetworkPolicy
// that selects the pods of each lets nobody in but by the port that clients use.
func TestGearmandYAML(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		files []string
		port  int32
	}{
		"plain":      {[]string{"gearmand.yaml", "gearmand-networkpolicy.yaml"}, 4730},
		"persistent": {[]string{"gearmand-persistent.yaml", "gearmand-networkpolicy.yaml"}, 4730},
		"TLS":        {[]string{"gearmand-tls.yaml"}, 4731},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var pods map[string]string
			var policy networkingv1.NetworkPolicy
			for _, file := range tt.files {
				for kind, raw := range objects(t, file) {
					switch kind {
					case "StatefulSet":
						var s appsv1.StatefulSet
						strict(t, raw, &s)
						pods = s.Spec.Template.Labels
					case "NetworkPolicy":
						strict(t, raw, &policy)
					case "Service":
						strict(t, raw, &corev1.Service{})
					case "ConfigMap":
						strict(t, raw, &corev1.ConfigMap{})
					default:
						t.Errorf("%s has a %s", file, kind)
					}
				}
			}
			selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
			if err != nil || len(pods) == 0 || selector.Empty() || !selector.Matches(labels.Set(pods)) {
				t.Errorf("the policy selects %v, the pods have %v: %v", selector, pods, err)
			}
			if len(policy.Spec.PolicyTypes) != 1 || policy.Spec.PolicyTypes[0] != networkingv1.PolicyTypeIngress ||
				len(policy.Spec.Ingress) != 1 {
				t.Fatalf("%+v", policy.Spec)
			}
			if ports := policy.Spec.Ingress[0].Ports; len(ports) != 1 || ports[0].Port.IntVal != tt.port {
				t.Errorf("open are %+v, want %d", ports, tt.port)
			}
		})
	}
}

// objects are those of a file, by kind.
func objects(t *testing.T, file string) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string][]byte)
	for part := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(part, &kind); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out[kind.Kind] = part
	}
	return out
}

func strict(t *testing.T, raw []byte, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(raw, into); err != nil {
		t.Error(err)
	}
}
