package workload

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/policy"
)

// injectRuntime makes the worker container run the operator's runtime, which an init container
// copies into the pod.
func injectRuntime(pool *v1alpha1.GearmanWorkerPool, spec *corev1.PodSpec, w *corev1.Container, rt RuntimeImage) {
	mount := corev1.VolumeMount{Name: runtimeVolume, MountPath: runtimeDir}
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: runtimeVolume, VolumeSource: corev1.VolumeSource{
		// In memory: a disk emptyDir would keep the cluster autoscaler from removing the node.
		EmptyDir: &corev1.EmptyDirVolumeSource{
			Medium: corev1.StorageMediumMemory, SizeLimit: new(resource.MustParse("32Mi")),
		},
	}})
	spec.InitContainers = slices.Insert(spec.InitContainers, 0, corev1.Container{
		Name:            installContainer,
		Image:           rt.Image,
		ImagePullPolicy: rt.PullPolicy,
		Command:         []string{"/gearman-worker", "install", runtimeDir},
		VolumeMounts:    []corev1.VolumeMount{mount},
		Resources:       installResources(w.Resources),
		SecurityContext: installSecurityContext(),
	})
	for _, name := range rt.PullSecrets {
		if ref := (corev1.LocalObjectReference{Name: name}); !slices.Contains(spec.ImagePullSecrets, ref) {
			spec.ImagePullSecrets = append(spec.ImagePullSecrets, ref)
		}
	}
	mount.ReadOnly = true
	// The journal outlives the container, so that a job which kills it is counted.
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: journalVolume, VolumeSource: corev1.VolumeSource{
		EmptyDir: &corev1.EmptyDirVolumeSource{
			Medium: corev1.StorageMediumMemory, SizeLimit: new(resource.MustParse("16Mi")),
		},
	}})
	w.VolumeMounts = append(w.VolumeMounts, mount, corev1.VolumeMount{Name: journalVolume, MountPath: journalDir})
	w.Command, w.Args = runtimeCommand(pool)
	if rt.MaxServers != 0 {
		prependEnv(w, corev1.EnvVar{Name: "GEARMAN_WORKER_MAX_JOB_SERVERS", Value: strconv.Itoa(rt.MaxServers)})
	}
	w.Ports = append(
		w.Ports, corev1.ContainerPort{Name: "gearman-worker", ContainerPort: runtimePort, Protocol: corev1.ProtocolTCP},
	)
	if w.ReadinessProbe == nil {
		w.ReadinessProbe = &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{
				HTTPGet: &corev1.HTTPGetAction{Path: "/readyz", Port: intstr.FromString("gearman-worker")},
			},
			PeriodSeconds: 2,
		}
	}
	if w.Lifecycle == nil {
		w.Lifecycle = &corev1.Lifecycle{}
	}
	if w.Lifecycle.PreStop == nil {
		// Otherwise the kubelet's SIGTERM is lost if it arrives at the moment in which the worker
		// starts.
		w.Lifecycle.PreStop = &corev1.LifecycleHandler{
			Exec: &corev1.ExecAction{Command: []string{runtimeBinary, "await-stoppable"}},
		}
	}
	if vol := tlsSecrets(pool.Spec.TLS); vol != nil {
		spec.Volumes = append(
			spec.Volumes, corev1.Volume{Name: tlsVolume, VolumeSource: corev1.VolumeSource{Projected: vol}},
		)
		w.VolumeMounts = append(w.VolumeMounts, corev1.VolumeMount{Name: tlsVolume, MountPath: tlsDir, ReadOnly: true})
	}
}

// installResources are those of the install container. It has the worker's, so that a quota or a
// LimitRange that admits the worker admits it too; since it ends before the worker starts, the pod
// needs no more for it. Devices and other resources are for the worker only.
func installResources(worker corev1.ResourceRequirements) corev1.ResourceRequirements {
	memory := resource.MustParse("64Mi") // for copying into a volume in memory
	if len(worker.Requests) == 0 && len(worker.Limits) == 0 {
		return corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: memory},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: memory},
		}
	}
	ordinary := func(from corev1.ResourceList) corev1.ResourceList {
		var list corev1.ResourceList
		for _, name := range []corev1.ResourceName{
			corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage,
		} {
			if quantity, ok := from[name]; ok {
				if list == nil {
					list = corev1.ResourceList{}
				}
				list[name] = quantity
			}
		}
		return list
	}
	resources := corev1.ResourceRequirements{Requests: ordinary(worker.Requests), Limits: ordinary(worker.Limits)}
	if limit, ok := resources.Limits[corev1.ResourceMemory]; ok && limit.Cmp(memory) < 0 {
		resources.Limits[corev1.ResourceMemory] = memory
	}
	return resources
}

// runtimeCommand is the worker container's command and arguments under the operator's runtime.
func runtimeCommand(pool *v1alpha1.GearmanWorkerPool) (command, args []string) {
	mode, flags, rest := policy.RuntimeArgs(&pool.Spec, tlsDir)
	return []string{runtimeBinary, mode}, slices.Concat(
		flags, []string{"--listen=:" + strconv.Itoa(runtimePort), "--journal-dir=" + journalDir}, rest,
	)
}

func tlsSecrets(t *v1alpha1.TLSSpec) *corev1.ProjectedVolumeSource {
	if t == nil || (t.CASecret == nil && t.ClientCertificateSecret == "") {
		return nil
	}
	vol := &corev1.ProjectedVolumeSource{}
	add := func(secret string, items ...corev1.KeyToPath) {
		vol.Sources = append(vol.Sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Items: items,
		}})
	}
	if ca := t.CASecret; ca != nil {
		add(ca.Name, corev1.KeyToPath{Key: policy.CAKey(ca), Path: "ca.crt"})
	}
	if t.ClientCertificateSecret != "" {
		add(
			t.ClientCertificateSecret, corev1.KeyToPath{Key: corev1.TLSCertKey, Path: "tls.crt"},
			corev1.KeyToPath{Key: corev1.TLSPrivateKeyKey, Path: "tls.key"},
		)
	}
	return vol
}

func restrictedContainer() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

func installSecurityContext() *corev1.SecurityContext {
	sc := restrictedContainer()
	sc.RunAsNonRoot = new(true)
	sc.ReadOnlyRootFilesystem = new(true)
	return sc
}

func fieldEnv(name, path string) corev1.EnvVar {
	return corev1.EnvVar{
		Name:      name,
		ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}},
	}
}
