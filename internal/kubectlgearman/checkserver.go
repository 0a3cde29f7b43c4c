package kubectlgearman

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/internal/cli"
)

// reachTimeout bounds how long one job server may take to answer.
const reachTimeout = 10 * time.Second

// finding is the result of one check against the cluster.
type finding struct {
	what string
	err  error  // nil: no problem
	note string // if it could not be checked, why
}

func (f *finding) write(out io.Writer) error {
	var err error
	switch {
	case f.err != nil:
		_, err = fmt.Fprintf(out, "  PROBLEM  %s: %s\n", f.what, cli.Printable(f.err.Error()))
	case f.note != "":
		_, err = fmt.Fprintf(out, "  unknown  %s: %s\n", f.what, cli.Printable(f.note))
	default:
		_, err = fmt.Fprintf(out, "  ok       %s\n", f.what)
	}
	return err
}

// serverChecks checks pools against a cluster without changing anything.
type serverChecks struct {
	api client.Client
	// reach finds the job servers of a pool's spec and requests the version of each.
	reach func(ctx context.Context, pool *v1alpha1.GearmanWorkerPool, server v1alpha1.ServerAddress) error
}

// errChecks makes the exit status of check non-zero; the problems were printed already.
var errChecks = errors.New("the pools can't work as they are: see the lines with PROBLEM")

// check prints the problems of a pool, and returns errChecks if there is one.
func (s *serverChecks) check(ctx context.Context, out io.Writer, pool *v1alpha1.GearmanWorkerPool) error {
	if _, err := fmt.Fprintf(out, "pool %s/%s on the cluster:\n", pool.Namespace, pool.Name); err != nil {
		return err
	}
	findings := []finding{{what: "the API server accepts the pool", err: s.accepted(ctx, pool)}}
	findings = append(findings, s.rights(ctx, pool)...)
	findings = append(findings, s.secrets(ctx, pool)...)
	if pool.Spec.TargetRef != nil {
		findings = append(findings, s.target(ctx, pool))
	}
	for _, server := range pool.Spec.Servers {
		f := finding{what: fmt.Sprintf("job server %s answers (checked from here, not from the operator)", server)}
		if pool.Spec.TLS != nil {
			f.note = "it speaks TLS with the pool's Secrets; try kubectl gearman version with --tls-ca, --tls-cert and --tls-key"
		} else {
			f.err = s.reach(ctx, pool, server)
		}
		findings = append(findings, f)
	}
	var bad error
	for i := range findings {
		if err := findings[i].write(out); err != nil {
			return err
		}
		if findings[i].err != nil {
			bad = errChecks
		}
	}
	return bad
}

// accepted has the API server validate the pool like a new one, or like a change of the existing
// one.
func (s *serverChecks) accepted(ctx context.Context, pool *v1alpha1.GearmanWorkerPool) error {
	owner := client.FieldOwner("kubectl-gearman")
	err := s.api.Create(ctx, pool.DeepCopy(), client.DryRunAll, owner)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	var present v1alpha1.GearmanWorkerPool
	if err := s.api.Get(ctx, client.ObjectKeyFromObject(pool), &present); err != nil {
		return err
	}
	present.Spec = pool.Spec
	return s.api.Update(ctx, &present, client.DryRunAll, owner)
}

// rights checks that the user has the rights that the admission policy of the chart requires for
// writing pools.
func (s *serverChecks) rights(ctx context.Context, pool *v1alpha1.GearmanWorkerPool) []finding {
	type right struct{ verb, group, resource, subresource, name string }
	wanted := []right{{verb: "create", group: v1alpha1.SchemeGroupVersion.Group, resource: "gearmanworkerpools"}}
	if ref := pool.Spec.TargetRef; ref != nil {
		resource := map[string]string{"Deployment": "deployments", "StatefulSet": "statefulsets"}[ref.Kind]
		wanted = append(
			wanted, right{verb: "update", group: "apps", resource: resource, subresource: "scale", name: ref.Name},
		)
	} else {
		wanted = append(wanted, right{verb: "create", resource: "pods"})
	}
	for _, secret := range tlsSecrets(&pool.Spec) {
		wanted = append(wanted, right{verb: "get", resource: "secrets", name: secret.name})
	}
	all := make([]finding, 0, len(wanted))
	for _, w := range wanted {
		resource := w.resource
		if w.subresource != "" {
			resource += "/" + w.subresource
		}
		f := finding{what: fmt.Sprintf("you may %s %s", w.verb, resource)}
		if w.name != "" {
			f.what += " " + w.name
		}
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: pool.Namespace, Verb: w.verb, Group: w.group, Resource: w.resource,
				Subresource: w.subresource, Name: w.name,
			},
		}}
		if err := s.api.Create(ctx, review); err != nil {
			f.note = err.Error()
		} else if !review.Status.Allowed {
			f.err = fmt.Errorf("no: have an administrator grant it in namespace %s", pool.Namespace)
		}
		all = append(all, f)
	}
	return all
}

// neededSecret is a Secret that a pool's workers need, with keys.
type neededSecret struct {
	name, use string
	keys      []string
	optional  bool
}

func tlsSecrets(spec *v1alpha1.GearmanWorkerPoolSpec) (all []neededSecret) {
	if spec.TLS == nil {
		return nil
	}
	if ca := spec.TLS.CASecret; ca != nil {
		key := ca.Key
		if key == "" {
			key = "ca.crt"
		}
		all = append(all, neededSecret{name: ca.Name, use: "tls.caSecret", keys: []string{key}})
	}
	if name := spec.TLS.ClientCertificateSecret; name != "" {
		all = append(
			all,
			neededSecret{
				name: name, use: "tls.clientCertificateSecret",
				keys: []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey},
			},
		)
	}
	return all
}

// envSecrets are the Secrets that the pool's own env and envFrom name.
func envSecrets(spec *v1alpha1.GearmanWorkerPoolSpec) (all []neededSecret) {
	optional := func(b *bool) bool { return b != nil && *b }
	for i := range spec.Env {
		if from := spec.Env[i].ValueFrom; from != nil && from.SecretKeyRef != nil {
			ref := from.SecretKeyRef
			all = append(
				all,
				neededSecret{
					name: ref.Name, use: "env " + spec.Env[i].Name, keys: []string{ref.Key},
					optional: optional(ref.Optional),
				},
			)
		}
	}
	for i := range spec.EnvFrom {
		if ref := spec.EnvFrom[i].SecretRef; ref != nil {
			all = append(all, neededSecret{name: ref.Name, use: "envFrom", optional: optional(ref.Optional)})
		}
	}
	return all
}

// secrets checks the Secrets that the pool names.
func (s *serverChecks) secrets(ctx context.Context, pool *v1alpha1.GearmanWorkerPool) (all []finding) {
	for _, need := range append(tlsSecrets(&pool.Spec), envSecrets(&pool.Spec)...) {
		if need.optional {
			continue
		}
		f := finding{what: fmt.Sprintf("Secret %s of %s exists", need.name, need.use)}
		var secret corev1.Secret
		switch err := s.api.Get(ctx, client.ObjectKey{Namespace: pool.Namespace, Name: need.name}, &secret); {
		case apierrors.IsForbidden(err):
			f.note = "you may not read it"
		case err != nil:
			f.err = err
		}
		for _, key := range need.keys {
			if _, ok := secret.Data[key]; f.err == nil && f.note == "" && !ok {
				f.err = fmt.Errorf("it has no key %s", key)
			}
		}
		all = append(all, f)
	}
	return all
}

// target checks the workload that the pool scales.
func (s *serverChecks) target(ctx context.Context, pool *v1alpha1.GearmanWorkerPool) finding {
	ref := pool.Spec.TargetRef
	f := finding{what: fmt.Sprintf("the %s %s exists", ref.Kind, ref.Name)}
	var object client.Object = &appsv1.Deployment{}
	if ref.Kind == "StatefulSet" {
		object = &appsv1.StatefulSet{}
	}
	switch err := s.api.Get(ctx, client.ObjectKey{Namespace: pool.Namespace, Name: ref.Name}, object); {
	case apierrors.IsForbidden(err):
		f.note = "you may not read it"
	case err != nil:
		f.err = err
	}
	return f
}

// reachServer requests the version of each job server that a name in a pool's spec resolves to.
func (c *plugin) reachServer(
	ctx context.Context, api client.Client, pool *v1alpha1.GearmanWorkerPool, server v1alpha1.ServerAddress,
) error {
	found, err := specEndpoints(ctx, api, pool.Namespace, server)
	if err != nil {
		return err
	}
	for _, e := range found {
		addr, done := e.addr, func() {}
		if e.pod != nil {
			if addr, done, err = c.forward(ctx, *e.pod); err != nil {
				return err
			}
		}
		err := requestVersion(ctx, addr)
		done()
		if err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return nil
}

// requestVersion requests the version of one job server.
func requestVersion(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	conn, err := admin.Dial(ctx, addr, admin.Options{})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Version(ctx)
	return err
}
