package workload

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// duplicates returns the duplicate entries of a pod in lists that the API server merges by a key.
// It answers an apply of such a list with an internal error, which does not help the user.
func duplicates(spec *corev1.PodSpec) (problems []string) {
	twice := func(path string, n int, key func(i int) string) {
		count := map[string]int{}
		for i := range n {
			k := key(i)
			if count[k]++; count[k] == 2 {
				problems = append(
					problems,
					fmt.Sprintf(
						"%s: %s appears twice (the pool's own fields and the operator add to the podTemplate): keep one",
						path, k,
					),
				)
			}
		}
	}
	for _, list := range []struct {
		path       string
		containers []corev1.Container
	}{{"spec.initContainers", spec.InitContainers}, {"spec.containers", spec.Containers}} {
		twice(list.path, len(list.containers), func(i int) string { return list.containers[i].Name })
		for i := range list.containers {
			c := &list.containers[i]
			path := fmt.Sprintf("%s[%s]", list.path, c.Name)
			twice(path+".env", len(c.Env), func(i int) string { return c.Env[i].Name })
			twice(path+".ports", len(c.Ports), func(i int) string {
				return fmt.Sprintf("%d/%s", c.Ports[i].ContainerPort, orTCP(c.Ports[i].Protocol))
			})
			twice(path+".volumeMounts", len(c.VolumeMounts), func(i int) string { return c.VolumeMounts[i].MountPath })
			twice(
				path+".volumeDevices", len(c.VolumeDevices),
				func(i int) string { return c.VolumeDevices[i].DevicePath },
			)
		}
	}
	twice("spec.volumes", len(spec.Volumes), func(i int) string { return spec.Volumes[i].Name })
	twice(
		"spec.imagePullSecrets", len(spec.ImagePullSecrets),
		func(i int) string { return spec.ImagePullSecrets[i].Name },
	)
	twice("spec.hostAliases", len(spec.HostAliases), func(i int) string { return spec.HostAliases[i].IP })
	twice("spec.topologySpreadConstraints", len(spec.TopologySpreadConstraints), func(i int) string {
		c := &spec.TopologySpreadConstraints[i]
		return c.TopologyKey + " with " + string(c.WhenUnsatisfiable)
	})
	twice("spec.resourceClaims", len(spec.ResourceClaims), func(i int) string { return spec.ResourceClaims[i].Name })
	twice("spec.schedulingGates", len(spec.SchedulingGates), func(i int) string { return spec.SchedulingGates[i].Name })
	return problems
}

func orTCP(p corev1.Protocol) corev1.Protocol {
	if p == "" {
		return corev1.ProtocolTCP
	}
	return p
}
