package workload

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/policy"
)

// Annotations of a pool's Deployment.
const (
	// InputsAnnotation holds the hash of those parts of the pool that determine the pod template.
	// While it stays the same, the template is not applied again, so that a new operator version,
	// which might generate it differently, rolls no pods.
	InputsAnnotation = "gearman.dev/template-inputs"
	// RuntimeImageAnnotation holds the image that the runtime is injected from.
	RuntimeImageAnnotation = "gearman.dev/runtime-image"
	// FieldsAnnotation holds the hash of the fields that the operator owned after it had applied
	// the template. It is used to detect drift.
	FieldsAnnotation = "gearman.dev/applied-fields"
)

// Inputs hashes the parts of a pool that determine its pod template, except for the runtime's
// image.
func Inputs(pool *v1alpha1.GearmanWorkerPool) (string, error) {
	spec := pool.Spec
	inputs := v1alpha1.GearmanWorkerPoolSpec{
		Image: spec.Image, Runtime: spec.Runtime, Command: spec.Command, Args: spec.Args, Env: spec.Env,
		EnvFrom:   spec.EnvFrom,
		Resources: spec.Resources, ImagePullPolicy: spec.ImagePullPolicy, PodTemplate: spec.PodTemplate,
		DrainSeconds: new(policy.DrainSeconds(&spec)), Servers: spec.Servers,
	}
	if spec.Runtime != nil {
		// Only the runtime gets these; an image that speaks Gearman has them in its own
		// configuration.
		inputs.TLS, inputs.Concurrency = spec.TLS, spec.Concurrency
		inputs.Function, inputs.Functions = spec.Function, spec.Functions
	}
	raw, err := json.Marshal(inputs)
	if err != nil {
		return "", fmt.Errorf("hash the pod template's inputs: %w", err)
	}
	return shortHash(raw), nil
}

// OwnedFields identifies the set of fields that a field owner has in a Deployment, except for the
// replicas, which it owns briefly at the creation. Changing one of these fields removes it from the
// set, and fields that others add are not in it. Unlike the values, the set does not depend on an
// API server version's defaults. It is empty if the owner has no fields.
func OwnedFields(entries []metav1.ManagedFieldsEntry, owner string) string {
	for i := range entries {
		e := &entries[i]
		if e.Manager == owner && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == "" &&
			e.FieldsV1 != nil {
			return shortHash([]byte(strings.Replace(e.FieldsV1.GetRawString(), `"f:replicas":{},`, "", 1)))
		}
	}
	return ""
}

// OwnsReplicas reports whether a field owner was the last to change spec.replicas, by an apply or
// via the scale subresource. A change makes the writer their only owner.
func OwnsReplicas(entries []metav1.ManagedFieldsEntry, owner string) bool {
	return slices.ContainsFunc(entries, func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager == owner && e.Subresource != "status" && e.FieldsV1 != nil &&
			strings.Contains(e.FieldsV1.GetRawString(), `"f:replicas":{}`)
	})
}

func shortHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:10])
}
