package chart

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// build builds a kustomization of config/.
func build(t *testing.T, name string) []*unstructured.Unstructured {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(
		filesys.MakeFsOnDisk(), root+"/config/"+name,
	)
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return decodeAll(t, string(manifests))
}

// TestKustomizationMatchesTheChart: config/ installs the same as the chart with the same options,
// except for Helm's own labels and annotations.
func TestKustomizationMatchesTheChart(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		set  string
		only []string // the kinds of the chart's objects that are compared; empty means all
	}{
		"default": {},
		"prometheus": {
			set:  "metrics.serviceMonitor.enabled=true,prometheusRule.enabled=true",
			only: []string{"ServiceMonitor", "PrometheusRule"},
		},
		"network-policy": {set: "networkPolicy.enabled=true", only: []string{"NetworkPolicy"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := byName(t, render(t, "--set", tt.set))
			if len(tt.only) > 0 {
				maps.DeleteFunc(want, func(id string, _ any) bool {
					kind, _, _ := strings.Cut(id, " ")
					return !slices.Contains(tt.only, kind)
				})
			}
			if name == "prometheus" && os.Getenv("UPDATE_GOLDEN") != "" { // the alerts are the chart's
				alerts, err := yaml.Marshal(want["PrometheusRule "+release])
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(root+"/config/prometheus/alerts.yaml", alerts, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got := byName(t, build(t, name))
			delete(got, "Namespace "+namespace) // Helm makes it itself
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf(
					"config/%s differs from the chart; UPDATE_GOLDEN=1 writes the alerts anew (-chart +config):\n%s",
					name, diff,
				)
			}
		})
	}
}

// byName returns the objects by kind and name, without what only Helm sets and with the rules of
// roles spelled out.
func byName(t *testing.T, objects []*unstructured.Unstructured) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, object := range objects {
		id := object.GetKind() + " " + object.GetName()
		if object.GetKind() == "ClusterRole" || object.GetKind() == "Role" {
			all[id] = permissions(
				find[rbacv1.ClusterRole](t, []*unstructured.Unstructured{object}, object.GetKind(), "").Rules,
			)
			continue
		}
		dropHelm(object.Object)
		all[id] = object.Object
	}
	return all
}

// dropHelm drops the labels and annotations that only Helm sets, wherever they occur.
func dropHelm(node any) {
	switch node := node.(type) {
	case map[string]any:
		for _, key := range []string{
			"helm.sh/chart", "helm.sh/resource-policy", "app.kubernetes.io/managed-by", "app.kubernetes.io/version",
			"app.kubernetes.io/instance",
		} {
			delete(node, key)
		}
		if metadata, ok := node["metadata"].(map[string]any); ok && node["kind"] == "CustomResourceDefinition" {
			delete(metadata, "labels")
		}
		for _, child := range node {
			dropHelm(child)
		}
	case []any:
		for _, child := range node {
			dropHelm(child)
		}
	}
}

// permissions returns rules as sorted "group/resource verb" lines, so that rules that are only
// grouped differently are equal.
func permissions(rules []rbacv1.PolicyRule) []string {
	var lines []string
	for _, rule := range rules {
		for _, path := range rule.NonResourceURLs {
			lines = append(lines, path+" "+strings.Join(rule.Verbs, ","))
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					lines = append(lines, group+"/"+resource+" "+verb+" "+strings.Join(rule.ResourceNames, ","))
				}
			}
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// TestRightsMatchTheCode: the chart grants the rights that the markers in the code require, in
// either scope, and no others.
func TestRightsMatchTheCode(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(root + "/config/rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var generated rbacv1.ClusterRole
	if err := yaml.UnmarshalStrict(data, &generated); err != nil {
		t.Fatal(err)
	}
	want := permissions(generated.Rules)
	withoutSecrets := slices.DeleteFunc(
		slices.Clone(want), func(p string) bool { return strings.HasPrefix(p, "/secrets ") },
	)
	if len(withoutSecrets) == len(want) {
		t.Fatal("the code asks for no Secrets: rbac.readSecrets has no meaning")
	}

	tests := map[string]struct {
		set, kind string
		roles     int
		want      []string
	}{
		"cluster":             {kind: "ClusterRole", roles: 1, want: withoutSecrets},
		"cluster and Secrets": {set: "rbac.readSecrets=true", kind: "ClusterRole", roles: 1, want: want},
		"two namespaces":      {set: "watchNamespaces={a,b}", kind: "Role", roles: 2, want: withoutSecrets},
		"a namespace and Secrets": {
			set: "watchNamespaces={a},rbac.readSecrets=true", kind: "Role", roles: 1, want: want,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := 0
			for _, object := range render(t, "--set", tt.set) {
				if object.GetKind() != tt.kind || object.GetName() != release {
					continue
				}
				found++
				rules := find[rbacv1.ClusterRole](t, []*unstructured.Unstructured{object}, tt.kind, release).Rules
				if diff := cmp.Diff(tt.want, permissions(rules)); diff != "" {
					t.Errorf("rights (-markers +chart):\n%s", diff)
				}
			}
			if found != tt.roles {
				t.Errorf("%d roles, want %d", found, tt.roles)
			}
		})
	}
}
