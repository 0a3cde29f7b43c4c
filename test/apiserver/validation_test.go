package apiserver

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/test/pooldocs"
)

// TestValidation tries a document for each rule of the API: it checks which are accepted, and which
// are refused with which advice.
func TestValidation(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	var refused refusals
	t.Cleanup(func() { refused.everyRule(t) })
	t.Run("choice", func(t *testing.T) {
		t.Parallel()
		refused.add(changedChoice(t))
	})
	t.Run("name", func(t *testing.T) {
		t.Parallel()
		obj := poolFromYAML(t, ns, pooldocs.Base)
		obj.SetName(strings.Repeat("n", 64))
		err := k8s.Create(t.Context(), obj, client.DryRunAll)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "use at most 63 characters") {
			t.Errorf("a name of 64 characters: got %v; want a refusal that says what to do", err)
		}
		refused.add(err)
	})
	for name, tt := range pooldocs.Documents {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := poolFromYAML(t, ns, tt.Spec)
			err := client.WithFieldValidation(k8s, "Strict").Create(t.Context(), obj, client.DryRunAll)
			refused.add(err)
			switch {
			case tt.Want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.Want != "" && err == nil:
				t.Errorf("accepted; want a refusal with %q", tt.Want)
			case tt.Want != "" && !strings.Contains(err.Error(), tt.Want):
				t.Errorf("refused with %v; want it to say %q", err, tt.Want)
			case err != nil && !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err):
				t.Errorf("refused with %v; want Invalid", err)
			}
		})
	}
}

// changedChoice returns the API server's error for a pool that changes from its own Deployment to a
// target.
func changedChoice(t *testing.T) error {
	t.Helper()
	obj := poolFromYAML(t, namespace(t), "servers: [h]\nfunction: f\nimage: i\nscaling: {mode: Paused}\n")
	if err := k8s.Create(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"image":null,"targetRef":{"kind":"Deployment","name":"d"}}}`))
	err := k8s.Patch(t.Context(), obj, patch)
	if err == nil || !strings.Contains(err.Error(), "delete it and create another") {
		t.Errorf("changing image to targetRef: got %v; want a refusal that says what to do", err)
	}
	return err
}

func poolFromYAML(t *testing.T, ns, spec string) *unstructured.Unstructured {
	t.Helper()
	var s map[string]any
	if err := yaml.Unmarshal([]byte(spec), &s); err != nil {
		t.Fatal(err)
	}
	obj := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gearman.dev/v1alpha1", "kind": "GearmanWorkerPool", "spec": s,
	}}
	obj.SetNamespace(ns)
	obj.SetGenerateName("p-")
	return obj
}
