package chart

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// TestPodLabelsWhateverTheNames: the plugin finds the operator's pods by labels that no value
// changes.
func TestPodLabelsWhateverTheNames(t *testing.T) {
	t.Parallel()
	for _, set := range []string{
		"", "nameOverride=jobs", "fullnameOverride=jobs",
		`podLabels.app\.kubernetes\.io/part-of=mine,commonLabels.app\.kubernetes\.io/part-of=mine`,
	} {
		labels := find[appsv1.Deployment](t, render(t, "--set", set), "Deployment", "").Spec.Template.Labels
		if labels["app.kubernetes.io/part-of"] != "gearman-operator" ||
			labels["app.kubernetes.io/component"] != "manager" {
			t.Errorf("with %q the pods' labels are %v", set, labels)
		}
	}
}

// TestOpenShift: OpenShift gives each namespace a range of users, and refuses a pod that asks for
// another.
func TestOpenShift(t *testing.T) {
	t.Parallel()
	for _, object := range render(t, "--values", chartPath+"/values-openshift.yaml") {
		data, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if object.GetKind() != "CustomResourceDefinition" &&
			(strings.Contains(string(data), "runAsUser") || strings.Contains(string(data), "runAsGroup")) {
			t.Errorf("%s %s sets a user: %s", object.GetKind(), object.GetName(), data)
		}
	}
	spec := find[appsv1.Deployment](
		t, render(t, "--values", chartPath+"/values-openshift.yaml"), "Deployment", release,
	).Spec.Template.Spec
	if c := spec.SecurityContext; c == nil || !*c.RunAsNonRoot || c.SeccompProfile == nil {
		t.Errorf("the rest of the security context is gone: %+v", c)
	}
}

func TestProductionValues(t *testing.T) {
	t.Parallel()
	got := kinds(render(t, "--values", chartPath+"/values-production.yaml"))
	for _, kind := range []string{"PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor", "PrometheusRule"} {
		if got[kind] != 1 {
			t.Errorf("%d objects %s, want 1", got[kind], kind)
		}
	}
}

func TestExtraObjects(t *testing.T) {
	t.Parallel()
	objects := render(t, "--values", chartPath+"/ci/all-values.yaml")
	for _, name := range []string{"as-object", release + "-as-text"} {
		found := find[struct {
			APIVersion, Kind string
			Metadata         struct {
				Name, Namespace string
				Labels          map[string]string
			}
		}](t, objects, "ConfigMap", name)
		if name == "as-object" && found.Metadata.Namespace != namespace {
			t.Errorf("the template in an object was not run: %+v", found)
		}
		if name != "as-object" && found.Metadata.Labels["app.kubernetes.io/part-of"] != "gearman-operator" {
			t.Errorf("the template in a text was not run: %+v", found)
		}
	}
}

// TestArtifactHubAnnotations: the texts for Artifact Hub are YAML within strings, which no other
// tool reads.
func TestArtifactHubAnnotations(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(chartPath, "Chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var chart struct {
		KubeVersion string            `json:"kubeVersion"`
		Annotations map[string]string `json:"annotations"`
	}
	if err := yaml.Unmarshal(data, &chart); err != nil {
		t.Fatal(err)
	}
	var examples []v1alpha1.GearmanWorkerPool
	if err := yaml.UnmarshalStrict([]byte(chart.Annotations["artifacthub.io/crdsExamples"]), &examples); err != nil ||
		len(examples) == 0 {
		t.Errorf("%d examples, %v", len(examples), err)
	}
	for _, key := range []string{"links", "crds"} {
		var list []map[string]any
		if err := yaml.UnmarshalStrict([]byte(chart.Annotations["artifacthub.io/"+key]), &list); err != nil ||
			len(list) == 0 {
			t.Errorf("%s: %d entries, %v", key, len(list), err)
		}
	}
	// The lowest version that the chart accepts is the lowest that its manifests are checked
	// against.
	lint, err := os.ReadFile(root + "/hack/lint-chart")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSuffix(
		strings.TrimPrefix(chart.KubeVersion, ">="), ".0-0",
	); !strings.Contains(string(lint), "kubernetes=(v"+want+".") {
		t.Errorf("kubeVersion is %s, which hack/lint-chart does not begin with", chart.KubeVersion)
	}
}

// TestTheLeaderMakesItsLease: the leader makes its Lease itself. A Lease in the chart would always
// differ from the cluster's, and GitOps tools would report that.
func TestTheLeaderMakesItsLease(t *testing.T) {
	t.Parallel()
	objects := render(t)
	if n := kinds(objects)["Lease"]; n != 0 {
		t.Errorf("the chart holds %d Leases, want none", n)
	}
	var verbs []string
	for _, object := range objects {
		if object.GetKind() != "Role" {
			continue
		}
		for _, rule := range find[rbacv1.Role](
			t, []*unstructured.Unstructured{object}, "Role", object.GetName(),
		).Rules {
			if slices.Contains(rule.Resources, "leases") {
				verbs = append(verbs, rule.Verbs...)
			}
		}
	}
	for _, verb := range []string{"create", "get", "update"} {
		if !slices.Contains(verbs, verb) {
			t.Errorf("the operator may not %s Leases; it may %v", verb, verbs)
		}
	}
}
