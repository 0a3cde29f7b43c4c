package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	kjson "sigs.k8s.io/json"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/policy"
)

// Names of what the operator generates; docs/architecture.md lists them.
const (
	workerContainer  = "worker"
	installContainer = "gearman-worker-install"
	runtimeVolume    = "gearman-worker"
	runtimeDir       = "/gearman"
	runtimeBinary    = runtimeDir + "/gearman-worker"
	runtimePort      = 4790
	tlsVolume        = "gearman-tls"
	tlsDir           = "/gearman-tls"

	managedByLabel = "app.kubernetes.io/managed-by"
	managedBy      = "gearman-operator"

	// longDrainSeconds is the drain from which on the node autoscalers are asked not to disturb a pod.
	longDrainSeconds = 600
)

// Annotations of a pool's Deployment.
const (
	// inputsAnnotation holds the hash of those parts of the pool that the pod template is made from. While it stays the same the
	// template is not applied again, so that a new operator, which might generate it otherwise, rolls no pods.
	inputsAnnotation = "gearman.dev/template-inputs"
	// runtimeImageAnnotation holds the image that the runtime is injected from.
	runtimeImageAnnotation = "gearman.dev/runtime-image"
	// fieldsAnnotation holds the hash of the fields that the operator owned when it had applied the template: what drift is told by.
	fieldsAnnotation = "gearman.dev/applied-fields"
)

// RuntimeImage says where the worker runtime of generated pods comes from.
type RuntimeImage struct {
	Image       string
	PullPolicy  corev1.PullPolicy
	PullSecrets []string
}

// errInvalidPodTemplate marks a podTemplate that cannot be used; its text is shown to the user.
var errInvalidPodTemplate = errors.New("invalid podTemplate")

// templateInputs hashes what a pool's pod template is made from, except for the runtime's image.
func templateInputs(pool *v1alpha1.GearmanWorkerPool) (string, error) {
	spec := pool.Spec
	inputs := v1alpha1.GearmanWorkerPoolSpec{
		Image: spec.Image, Runtime: spec.Runtime, Command: spec.Command, Args: spec.Args, Env: spec.Env, EnvFrom: spec.EnvFrom,
		Resources: spec.Resources, ImagePullPolicy: spec.ImagePullPolicy, PodTemplate: spec.PodTemplate, DrainSeconds: new(policy.DrainSeconds(&spec)),
	}
	if spec.Runtime != nil {
		// Only the runtime is told of these; an image that speaks Gearman has them in its own configuration.
		inputs.Servers, inputs.TLS, inputs.Concurrency = spec.Servers, spec.TLS, spec.Concurrency
		inputs.Function, inputs.Functions = spec.Function, spec.Functions
	}
	raw, err := json.Marshal(inputs)
	if err != nil {
		return "", fmt.Errorf("hash the pod template's inputs: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:10]), nil
}

// deploymentTemplate is the apply configuration of all that the operator owns of a pool's Deployment but spec.replicas.
func deploymentTemplate(pool *v1alpha1.GearmanWorkerPool, rt RuntimeImage) (*appsv1ac.DeploymentApplyConfiguration, error) {
	inputs, err := templateInputs(pool)
	if err != nil {
		return nil, err
	}
	template, err := podTemplate(pool, rt)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(template)
	if err != nil {
		return nil, fmt.Errorf("encode the pod template: %w", err)
	}
	var templateAC corev1ac.PodTemplateSpecApplyConfiguration
	if err := json.Unmarshal(raw, &templateAC); err != nil {
		return nil, fmt.Errorf("encode the pod template: %w", err)
	}
	labels := map[string]string{v1alpha1.LabelPool: pool.Name, managedByLabel: managedBy}
	return appsv1ac.Deployment(pool.Name, pool.Namespace).
		WithLabels(labels).
		WithAnnotations(map[string]string{inputsAnnotation: inputs, runtimeImageAnnotation: rt.Image}).
		WithOwnerReferences(metav1ac.OwnerReference().
			WithAPIVersion(v1alpha1.SchemeGroupVersion.String()).WithKind("GearmanWorkerPool").
			WithName(pool.Name).WithUID(pool.UID).WithController(true).WithBlockOwnerDeletion(true)).
		WithSpec(appsv1ac.DeploymentSpec().
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{v1alpha1.LabelPool: pool.Name})).
			WithRevisionHistoryLimit(2).
			// A rollout first adds pods and never takes one that is needed; the old ones drain.
			WithStrategy(appsv1ac.DeploymentStrategy().WithType("RollingUpdate").
				WithRollingUpdate(appsv1ac.RollingUpdateDeployment().
					WithMaxSurge(intstr.FromString("25%")).WithMaxUnavailable(intstr.FromInt32(0)))).
			WithTemplate(&templateAC)), nil
}

// podTemplate merges the pool's own fields into its podTemplate.
func podTemplate(pool *v1alpha1.GearmanWorkerPool, rt RuntimeImage) (*corev1.PodTemplateSpec, error) {
	t := &corev1.PodTemplateSpec{}
	if pt := pool.Spec.PodTemplate; pt != nil && len(pt.Raw) > 0 {
		strict, err := kjson.UnmarshalStrict(pt.Raw, t)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errInvalidPodTemplate, err)
		}
		if len(strict) > 0 {
			return nil, fmt.Errorf("%w: %w", errInvalidPodTemplate, errors.Join(strict...))
		}
	}
	drain := int64(policy.DrainSeconds(&pool.Spec))
	if err := checkPodTemplate(pool, t, drain); err != nil {
		return nil, err
	}
	if t.Labels == nil {
		t.Labels = map[string]string{}
	}
	t.Labels[v1alpha1.LabelPool] = pool.Name
	t.Labels[managedByLabel] = managedBy
	if drain > longDrainSeconds {
		t.Annotations = withDefaults(t.Annotations, map[string]string{
			"karpenter.sh/do-not-disrupt":                    "true",
			"cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
		})
	}

	spec := &t.Spec
	spec.TerminationGracePeriodSeconds = &drain
	setDefault(&spec.EnableServiceLinks, false)
	setDefault(&spec.AutomountServiceAccountToken, false)
	if spec.SecurityContext == nil {
		spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	if spec.SecurityContext.SeccompProfile == nil {
		spec.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	}

	i := slices.IndexFunc(spec.Containers, func(c corev1.Container) bool { return c.Name == workerContainer })
	if i < 0 {
		spec.Containers = slices.Insert(spec.Containers, 0, corev1.Container{Name: workerContainer})
		i = 0
	}
	w := &spec.Containers[i]
	fillWorker(pool, w)
	if pool.Spec.Runtime != nil {
		injectRuntime(pool, spec, w, rt)
	}
	return t, nil
}

// fillWorker sets the pool's own fields on the worker container.
func fillWorker(pool *v1alpha1.GearmanWorkerPool, w *corev1.Container) {
	s := &pool.Spec
	w.Image = s.Image
	if s.ImagePullPolicy != "" {
		w.ImagePullPolicy = s.ImagePullPolicy
	}
	if s.Command != nil {
		w.Command = s.Command
	}
	if s.Args != nil {
		w.Args = s.Args
	}
	w.Env = append(w.Env, s.Env...)
	w.EnvFrom = append(w.EnvFrom, s.EnvFrom...)
	if s.Resources != nil {
		w.Resources = *s.Resources
	}
	if w.SecurityContext == nil {
		w.SecurityContext = restrictedContainer()
	}
}

// injectRuntime makes the worker container run the operator's runtime, which an init container copies into the pod.
func injectRuntime(pool *v1alpha1.GearmanWorkerPool, spec *corev1.PodSpec, w *corev1.Container, rt RuntimeImage) {
	mount := corev1.VolumeMount{Name: runtimeVolume, MountPath: runtimeDir}
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: runtimeVolume, VolumeSource: corev1.VolumeSource{
		// In memory: a disk emptyDir would keep the cluster autoscaler from removing the node.
		EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: new(resource.MustParse("32Mi"))},
	}})
	spec.InitContainers = slices.Insert(spec.InitContainers, 0, corev1.Container{
		Name:            installContainer,
		Image:           rt.Image,
		ImagePullPolicy: rt.PullPolicy,
		Command:         []string{"/gearman-worker", "install", runtimeDir},
		VolumeMounts:    []corev1.VolumeMount{mount},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")},
		},
		SecurityContext: installSecurityContext(),
	})
	for _, name := range rt.PullSecrets {
		spec.ImagePullSecrets = append(spec.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
	}
	mount.ReadOnly = true
	w.VolumeMounts = append(w.VolumeMounts, mount)
	w.Command, w.Args = runtimeCommand(pool)
	w.Env = append([]corev1.EnvVar{
		fieldEnv("GEARMAN_WORKER_POD_UID", "metadata.uid"),
		fieldEnv("GEARMAN_WORKER_POD_NAME", "metadata.name"),
	}, w.Env...)
	w.Ports = append(w.Ports, corev1.ContainerPort{Name: "gearman-worker", ContainerPort: runtimePort, Protocol: corev1.ProtocolTCP})
	if w.ReadinessProbe == nil {
		w.ReadinessProbe = &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/readyz", Port: intstr.FromString("gearman-worker")}},
			PeriodSeconds: 2,
		}
	}
	if w.Lifecycle == nil {
		w.Lifecycle = &corev1.Lifecycle{}
	}
	if w.Lifecycle.PreStop == nil {
		// Else the kubelet's SIGTERM is lost where it comes in the moment in which the worker starts.
		w.Lifecycle.PreStop = &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{runtimeBinary, "await-stoppable"}}}
	}
	if vol := tlsSecrets(pool.Spec.TLS); vol != nil {
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: tlsVolume, VolumeSource: corev1.VolumeSource{Projected: vol}})
		w.VolumeMounts = append(w.VolumeMounts, corev1.VolumeMount{Name: tlsVolume, MountPath: tlsDir, ReadOnly: true})
	}
}

// runtimeCommand is the worker container's command and arguments under the operator's runtime.
func runtimeCommand(pool *v1alpha1.GearmanWorkerPool) (command, args []string) {
	mode, flags, rest := policy.RuntimeArgs(&pool.Spec, tlsDir)
	return []string{runtimeBinary, mode}, slices.Concat(flags, []string{"--listen=:" + strconv.Itoa(runtimePort)}, rest)
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
		add(t.ClientCertificateSecret, corev1.KeyToPath{Key: corev1.TLSCertKey, Path: "tls.crt"}, corev1.KeyToPath{Key: corev1.TLSPrivateKeyKey, Path: "tls.key"})
	}
	return vol
}

// checkPodTemplate refuses what the operator has to set itself.
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
		if v.Name == runtimeVolume || v.Name == tlsVolume {
			refuse("spec.volumes: the name %s is the operator's", v.Name)
		}
	}
	if problems == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", errInvalidPodTemplate, strings.Join(problems, "; "))
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
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}}
}

func setDefault[T any](p **T, v T) {
	if *p == nil {
		*p = &v
	}
}

func withDefaults(m, defaults map[string]string) map[string]string {
	if m == nil {
		return defaults
	}
	for k, v := range defaults {
		if _, ok := m[k]; !ok {
			m[k] = v
		}
	}
	return m
}
