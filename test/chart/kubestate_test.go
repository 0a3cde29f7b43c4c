package chart

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// customResourceState is the part of kube-state-metrics' configuration that ours uses.
type customResourceState struct {
	Kind string `json:"kind"`
	Spec struct {
		Resources []struct {
			GroupVersionKind map[string]string   `json:"groupVersionKind"`
			Prefix           string              `json:"metricNamePrefix"`
			Labels           map[string][]string `json:"labelsFromPath"`
			Metrics          []stateMetric       `json:"metrics"`
		} `json:"resources"`
	} `json:"spec"`
}

type stateMetric struct {
	Name string `json:"name"`
	Help string `json:"help"`
	Each struct {
		Type string `json:"type"`
		Info *struct {
			Labels map[string][]string `json:"labelsFromPath"`
		} `json:"info"`
		Gauge *struct {
			Path      []string            `json:"path"`
			NilIsZero bool                `json:"nilIsZero"`
			Labels    map[string][]string `json:"labelsFromPath"`
			ValueFrom []string            `json:"valueFrom"`
		} `json:"gauge"`
	} `json:"each"`
}

// TestKubeStateMetrics: the configuration for kube-state-metrics reads fields that the CRD has, and
// docs/metrics.md lists each of its metrics.
func TestKubeStateMetrics(t *testing.T) {
	t.Parallel()
	var config customResourceState
	if err := yaml.UnmarshalStrict(
		[]byte(read(t, "config/kube-state-metrics/custom-resource-state.yaml")), &config,
	); err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(
		[]byte(read(t, "config/crd/bases/gearman.dev_gearmanworkerpools.yaml")), &crd,
	); err != nil {
		t.Fatal(err)
	}
	resource := config.Spec.Resources[0]
	want := map[string]string{
		"group": crd.Spec.Group, "version": crd.Spec.Versions[0].Name, "kind": crd.Spec.Names.Kind,
	}
	if diff := cmp.Diff(want, resource.GroupVersionKind); diff != "" || config.Kind != "CustomResourceStateMetrics" {
		t.Errorf("%s (-CRD +config):\n%s", config.Kind, diff)
	}
	whole := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	var fields []string
	exists := func(
		metric string, from *apiextensionsv1.JSONSchemaProps, path []string,
	) *apiextensionsv1.JSONSchemaProps {
		t.Helper()
		for _, field := range path {
			next, ok := from.Properties[field]
			if !ok {
				t.Errorf("%s: the CRD has no field %s of %v", metric, field, path)
				return from
			}
			from = &next
		}
		fields = append(fields, strings.Join(path, "."))
		return from
	}
	docs := read(t, "docs/metrics.md")
	for _, m := range resource.Metrics {
		name := resource.Prefix + "_" + m.Name
		if !strings.Contains(docs, "`"+name+"`") || m.Help == "" {
			t.Errorf("docs/metrics.md lacks %s, or it has no help", name)
		}
		switch {
		case m.Each.Info != nil:
			for _, path := range m.Each.Info.Labels {
				exists(name, whole, path)
			}
		case m.Each.Gauge != nil:
			field := exists(name, whole, m.Each.Gauge.Path)
			if field.Type == "array" {
				item := field.Items.Schema
				exists(name, item, m.Each.Gauge.ValueFrom)
				for _, path := range m.Each.Gauge.Labels {
					exists(name, item, path)
				}
			} else if field.Type != "integer" {
				t.Errorf("%s: %v is a %s, not a number", name, m.Each.Gauge.Path, field.Type)
			}
		default:
			t.Errorf("%s is of type %s", name, m.Each.Type)
		}
	}
	if len(fields) < 10 || !slices.Contains(fields, "status.queue.queued") {
		t.Errorf("only these fields are read: %v", fields)
	}
	for _, name := range regexp.MustCompile("`(kube_gearmanworkerpool_[a-z_]+)`").FindAllStringSubmatch(docs, -1) {
		if !slices.ContainsFunc(resource.Metrics, func(m stateMetric) bool {
			return resource.Prefix+"_"+m.Name == name[1]
		}) {
			t.Errorf("docs/metrics.md tells of %s, which the configuration lacks", name[1])
		}
	}
}

// TestWorkerPodMonitor: the monitor of workers finds the pods of pools by the runtime's port, in
// the namespaces that the operator serves.
func TestWorkerPodMonitor(t *testing.T) {
	t.Parallel()
	monitor := func(args ...string) *unstructured.Unstructured {
		t.Helper()
		for _, object := range render(
			t, append([]string{"--set", "metrics.workerPodMonitor.enabled=true"}, args...)...,
		) {
			if object.GetKind() == "PodMonitor" && object.GetName() == release+"-workers" {
				return object
			}
		}
		t.Fatal("no PodMonitor of workers was rendered")
		return nil
	}
	field := func(object *unstructured.Unstructured, path ...string) string {
		value, _, err := unstructured.NestedFieldNoCopy(object.Object, path...)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(value)
	}
	all := monitor(
		"--set",
		"metrics.workerPodMonitor.interval=1m,metrics.workerPodMonitor.labels.release=prom,metrics.workerPodMonitor.namespace=monitoring",
	)
	if all.GetNamespace() != "monitoring" || all.GetLabels()["release"] != "prom" ||
		field(all, "spec", "namespaceSelector") != "map[any:true]" {
		t.Errorf("got %v", all.Object)
	}
	endpoints := field(all, "spec", "podMetricsEndpoints")
	for _, want := range []string{"port:gearman-worker", "path:/metrics", "interval:1m", "targetLabel:pool"} {
		if !strings.Contains(endpoints, want) {
			t.Errorf("the endpoint %s lacks %s", endpoints, want)
		}
	}
	if some := monitor("--set", "watchNamespaces={a,b}"); field(
		some, "spec", "namespaceSelector",
	) != "map[matchNames:[a b]]" {
		t.Errorf("namespaces: %s", field(some, "spec", "namespaceSelector"))
	}
	for _, object := range render(t) {
		if object.GetKind() == "PodMonitor" {
			t.Error("a PodMonitor by default")
		}
	}
}
