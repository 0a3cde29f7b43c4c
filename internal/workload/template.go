package workload

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	kjson "sigs.k8s.io/json"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/policy"
)

// Names in generated objects; docs/architecture.md lists them.
const (
	workerContainer  = "worker"
	installContainer = "gearman-worker-install"
	runtimeVolume    = "gearman-worker"
	journalVolume    = "gearman-journal"
	journalDir       = "/gearman-journal"
	runtimeDir       = "/gearman"
	runtimeBinary    = runtimeDir + "/gearman-worker"
	runtimePort      = 4790
	tlsVolume        = "gearman-tls"
	tlsDir           = "/gearman-tls"

	managedByLabel = "app.kubernetes.io/managed-by"
	managedBy      = "gearman-operator"

	// longDrainSeconds is the drain above which node autoscalers are told not to disturb a pod, if
	// the user set it.
	longDrainSeconds = 600
)

// RuntimeImage is the image with the worker runtime of generated pods.
type RuntimeImage struct {
	Image       string
	PullPolicy  corev1.PullPolicy
	PullSecrets []string
	// MaxServers is how many job servers of a pool the operator uses, and so must the workers; 0:
	// the workers' own default.
	MaxServers int
}

// ErrInvalidPodTemplate marks a podTemplate that cannot be used; its text is shown to the user.
var ErrInvalidPodTemplate = errors.New("invalid podTemplate")

// Deployment is the apply configuration of everything that the operator owns of a pool's Deployment
// except spec.replicas.
func Deployment(pool *v1alpha1.GearmanWorkerPool, rt RuntimeImage) (*appsv1ac.DeploymentApplyConfiguration, error) {
	inputs, err := Inputs(pool)
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
		WithAnnotations(map[string]string{InputsAnnotation: inputs, RuntimeImageAnnotation: rt.Image}).
		WithOwnerReferences(metav1ac.OwnerReference().
			WithAPIVersion(v1alpha1.SchemeGroupVersion.String()).WithKind("GearmanWorkerPool").
			WithName(pool.Name).WithUID(pool.UID).WithController(true).WithBlockOwnerDeletion(true)).
		WithSpec(appsv1ac.DeploymentSpec().
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{v1alpha1.LabelPool: pool.Name})).
			WithRevisionHistoryLimit(2).
			// A rollout first adds pods and never removes one that is needed; the old ones drain.
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
			return nil, fmt.Errorf("%w: %w", ErrInvalidPodTemplate, err)
		}
		if len(strict) > 0 {
			return nil, fmt.Errorf("%w: %w", ErrInvalidPodTemplate, errors.Join(strict...))
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
	if policy.ChosenDrainSeconds(&pool.Spec) > longDrainSeconds {
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
	} else {
		prependEnv(w, corev1.EnvVar{Name: "GEARMAN_SERVERS", Value: joinServers(pool.Spec.Servers)},
			corev1.EnvVar{Name: "GEARMAN_FUNCTIONS", Value: strings.Join(policy.Functions(&pool.Spec), ",")})
	}
	// For the client ID, with which a worker reports which pod it is (docs/telemetry.md).
	prependEnv(
		w, fieldEnv("GEARMAN_WORKER_POD_UID", "metadata.uid"), fieldEnv("GEARMAN_WORKER_POD_NAME", "metadata.name"),
	)
	if twice := duplicates(spec); twice != nil {
		return nil, fmt.Errorf("%w: %s", ErrInvalidPodTemplate, strings.Join(twice, "; "))
	}
	return t, nil
}

// prependEnv adds variables that the user has not set, before the user's, which may refer to them.
func prependEnv(w *corev1.Container, vars ...corev1.EnvVar) {
	vars = slices.DeleteFunc(vars, func(v corev1.EnvVar) bool {
		return slices.ContainsFunc(w.Env, func(own corev1.EnvVar) bool { return own.Name == v.Name })
	})
	w.Env = append(vars, w.Env...)
}

// joinServers formats a pool's job servers as most client libraries expect them.
func joinServers(servers []v1alpha1.ServerAddress) string {
	all := make([]string, len(servers))
	for i, server := range servers {
		all[i] = string(server)
	}
	return strings.Join(all, ",")
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
