package kubectlgearman

import "sigs.k8s.io/controller-runtime/pkg/client"

// leaseName is the name of the operator's lease for leader election, in its own namespace.
const leaseName = "gearman-operator"

// operatorLabels are the labels that the chart and config/ give to the operator's pods.
var operatorLabels = client.MatchingLabels{
	"app.kubernetes.io/name": "gearman-operator", "app.kubernetes.io/component": "manager",
}
