package workload

import (
	"encoding/json"
	"slices"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/policy"
)

// defaultGraceSeconds is Kubernetes' own termination grace period. A longer one means that jobs may
// run when a pod stops.
const defaultGraceSeconds = 30

// SidecarsThatStopFirst returns the names of the plain containers beside the worker, sorted, in a
// pool with a long drain: they get SIGTERM together with the worker, whose last jobs lose them.
func SidecarsThatStopFirst(s *v1alpha1.GearmanWorkerPoolSpec) (names []string) {
	if s.PodTemplate == nil || policy.ChosenDrainSeconds(s) <= defaultGraceSeconds {
		return nil
	}
	var t struct {
		Spec struct {
			Containers []struct {
				Name string `json:"name"`
			} `json:"containers"`
		} `json:"spec"`
	}
	if json.Unmarshal(s.PodTemplate.Raw, &t) != nil {
		return nil // the template can't be used, which is reported elsewhere
	}
	for _, c := range t.Spec.Containers {
		if c.Name != workerContainer {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return names
}
