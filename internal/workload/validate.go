package workload

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// checkPodTemplate rejects fields that the operator has to set itself.
func checkPodTemplate(pool *v1alpha1.GearmanWorkerPool, t *corev1.PodTemplateSpec, drain int64) error {
	var problems []string
	refuse := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if v, ok := t.Labels[v1alpha1.LabelPool]; ok && v != pool.Name {
		refuse("metadata.labels[%s] is the operator's: leave it out", v1alpha1.LabelPool)
	}
	if p := t.Spec.RestartPolicy; p != "" && p != corev1.RestartPolicyAlways {
		refuse("spec.restartPolicy must be Always: leave it out")
	}
	if g := t.Spec.TerminationGracePeriodSeconds; g != nil && *g != drain {
		refuse("spec.terminationGracePeriodSeconds is set by drainSeconds (%d): leave it out", drain)
	}
	for _, c := range t.Spec.Containers {
		switch {
		case c.Name == "":
			refuse("spec.containers: each container needs a name")
		case c.Name != workerContainer:
		case c.Image != "" && c.Image != pool.Spec.Image:
			refuse("the worker container's image is the pool's spec.image: leave it out")
		case pool.Spec.Runtime != nil && (len(c.Command) > 0 || len(c.Args) > 0):
			refuse("the worker container's command is the runtime's: leave command and args out")
		}
	}
	for _, c := range t.Spec.InitContainers {
		if c.Name == installContainer {
			refuse("spec.initContainers: the name %s is the operator's", installContainer)
		}
	}
	for _, v := range t.Spec.Volumes {
		if v.Name == runtimeVolume || v.Name == journalVolume || v.Name == tlsVolume {
			refuse("spec.volumes: the name %s is the operator's", v.Name)
		}
	}
	if problems == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrInvalidPodTemplate, strings.Join(problems, "; "))
}
