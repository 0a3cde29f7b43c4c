package chart

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

func TestNetworkPolicyParts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		set  string
		want []networkingv1.PolicyType
	}{
		"both":         {"networkPolicy.enabled=true", []networkingv1.PolicyType{"Ingress", "Egress"}},
		"only ingress": {"networkPolicy.enabled=true,networkPolicy.egress=false", []networkingv1.PolicyType{"Ingress"}},
		"only egress":  {"networkPolicy.enabled=true,networkPolicy.ingress=false", []networkingv1.PolicyType{"Egress"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := find[networkingv1.NetworkPolicy](t, render(t, "--set", tt.set), "NetworkPolicy", "").Spec
			if diff := cmp.Diff(tt.want, spec.PolicyTypes); diff != "" {
				t.Error(diff)
			}
			if got, want := len(spec.Ingress) > 0, slices.Contains(
				tt.want, networkingv1.PolicyTypeIngress,
			); got != want {
				t.Errorf("ingress rules: %t, want %t", got, want)
			}
			if got, want := len(spec.Egress) > 0, slices.Contains(tt.want, networkingv1.PolicyTypeEgress); got != want {
				t.Errorf("egress rules: %t, want %t", got, want)
			}
		})
	}
	_, stderr, err := helm(
		t, "template", release, chartPath, "--set",
		"networkPolicy.enabled=true,networkPolicy.ingress=false,networkPolicy.egress=false",
	)
	if err == nil || !strings.Contains(stderr, "set networkPolicy.ingress or networkPolicy.egress to true") {
		t.Errorf("without any part: %v, %s", err, stderr)
	}
}

// TestNetworkPolicyJobServers: the rule for job servers has every listed port, and does not allow
// access to a metadata service.
func TestNetworkPolicyJobServers(t *testing.T) {
	t.Parallel()
	objects := render(t, "--set", "networkPolicy.enabled=true,networkPolicy.jobServerPorts={4730,7003}")
	var blocks []networkingv1.IPBlock
	for _, rule := range find[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy", "").Spec.Egress {
		if !slices.ContainsFunc(
			rule.Ports, func(p networkingv1.NetworkPolicyPort) bool { return p.Port.IntValue() == 7003 },
		) {
			continue
		}
		if len(rule.Ports) != 2 || rule.Ports[0].Port.IntValue() != 4730 {
			t.Errorf("ports: %+v", rule.Ports)
		}
		for _, peer := range rule.To {
			if peer.IPBlock != nil {
				blocks = append(blocks, *peer.IPBlock)
			}
		}
	}
	want := []networkingv1.IPBlock{
		{CIDR: "0.0.0.0/0", Except: []string{"169.254.169.254/32"}},
		{CIDR: "::/0", Except: []string{"fd00:ec2::254/128"}},
	}
	if diff := cmp.Diff(want, blocks); diff != "" {
		t.Error(diff)
	}
}

// TestProductionMetricsReader: with the values for production, some account may read the metrics
// that the monitor scrapes.
func TestProductionMetricsReader(t *testing.T) {
	t.Parallel()
	objects := render(t, "--values", chartPath+"/values-production.yaml")
	for _, o := range objects {
		if o.GetKind() == "ClusterRoleBinding" && strings.HasSuffix(o.GetName(), "metrics-reader") {
			binding := find[rbacv1.ClusterRoleBinding](t, objects, "ClusterRoleBinding", o.GetName())
			if len(binding.Subjects) != 1 || binding.Subjects[0].Namespace != "monitoring" {
				t.Errorf("subjects: %+v", binding.Subjects)
			}
			return
		}
	}
	t.Error("no ClusterRoleBinding of the metrics reader")
}
