package cluster

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// Stage is a namespace with a job server (examples/gearmand.yaml) and a ledger that jobs write
// their runs to.
type Stage struct {
	*Cluster
	Namespace string
}

const ledgerYAML = `
apiVersion: v1
kind: Pod
metadata:
  name: ledger
  labels: {app.kubernetes.io/name: ledger}
spec:
  restartPolicy: Never # its lines are in memory: a ledger that ended must not come back empty
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: ledger
      image: gearman-demo:demo
      imagePullPolicy: IfNotPresent
      command: [/bin/ledger]
      ports: [{containerPort: 8080}]
      readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1, timeoutSeconds: 10}
      securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
---
apiVersion: v1
kind: Service
metadata:
  name: ledger
spec:
  publishNotReadyAddresses: true # jobs must not wait because a probe was late on a busy machine
  selector: {app.kubernetes.io/name: ledger}
  ports: [{port: 8080}]
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: reverse # what examples/reverse.yaml takes its environment from
data:
  LEDGER_URL: http://ledger:8080/
`

// NewStage sets up a stage, or reuses the existing one in the namespace.
func (c *Cluster) NewStage(ctx context.Context, namespace string) (*Stage, error) {
	s := &Stage{Cluster: c, Namespace: namespace}
	if err := c.MakeNamespace(ctx, namespace); err != nil {
		return nil, err
	}
	if err := c.ApplyFile(ctx, "examples/gearmand.yaml", s.here); err != nil {
		return nil, err
	}
	if err := c.Apply(ctx, strings.NewReader(ledgerYAML), s.here); err != nil {
		return nil, err
	}
	return s, Wait(ctx, func(ctx context.Context) error {
		if _, err := c.readyPod(ctx, namespace, ledgerLabels); err != nil {
			return err
		}
		_, err := s.readyPod(ctx, namespace, jobServerLabels)
		return err
	})
}

func (s *Stage) here(u *unstructured.Unstructured) { u.SetNamespace(s.Namespace) }

// JobServer returns the job server's address for pods.
func (s *Stage) JobServer() string { return "gearmand." + s.Namespace + ".svc:4730" }

// ApplyPool applies examples/reverse.yaml to this stage; edit may change the spec.
func (s *Stage) ApplyPool(ctx context.Context, edit func(spec map[string]any)) error {
	return s.ApplyPools(ctx, "examples/reverse.yaml", edit)
}

// ApplyPools applies the pools of a file of the project to this stage; edit may change their specs.
func (s *Stage) ApplyPools(ctx context.Context, file string, edit func(spec map[string]any)) error {
	return s.ApplyFile(ctx, file, func(u *unstructured.Unstructured) {
		s.here(u)
		spec := u.Object["spec"].(map[string]any)
		spec["servers"] = []any{s.JobServer()}
		if edit != nil {
			edit(spec)
		}
	})
}

// Pool reads the pool of examples/reverse.yaml.
func (s *Stage) Pool(ctx context.Context) (*v1alpha1.GearmanWorkerPool, error) {
	p := &v1alpha1.GearmanWorkerPool{}
	return p, s.Client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: PoolName}, p)
}

// PoolName is the name of the pool in examples/reverse.yaml, and of its function.
const PoolName = "reverse"

// Workers are a pool's workload and its pods.
type Workers struct {
	Replicas    int // as the Deployment wants
	Pods        []corev1.Pod
	Ready       int // not terminating
	Terminating int
}

// Workers returns the pool's workload and pods. A pool without a Deployment has none.
func (s *Stage) Workers(ctx context.Context) (Workers, error) {
	var w Workers
	var d appsv1.Deployment
	err := s.Client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: PoolName}, &d)
	if client.IgnoreNotFound(err) != nil {
		return w, err
	}
	if err == nil && d.Spec.Replicas != nil {
		w.Replicas = int(*d.Spec.Replicas)
	}
	var pods corev1.PodList
	if err := s.Client.List(
		ctx, &pods, client.InNamespace(s.Namespace), client.MatchingLabels{v1alpha1.LabelPool: PoolName},
	); err != nil {
		return w, err
	}
	w.Pods = pods.Items
	for i := range w.Pods {
		switch p := &w.Pods[i]; {
		case p.DeletionTimestamp != nil:
			w.Terminating++
		case ready(p):
			w.Ready++
		}
	}
	return w, nil
}

// ReplicaSets returns the names of the pool's ReplicaSets: one for each pod template that it has
// had.
func (s *Stage) ReplicaSets(ctx context.Context) ([]string, error) {
	var list appsv1.ReplicaSetList
	if err := s.Client.List(
		ctx, &list, client.InNamespace(s.Namespace), client.MatchingLabels{v1alpha1.LabelPool: PoolName},
	); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(list.Items))
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names, nil
}

// ScaleJobServer removes the job server (0) or brings it back (1). Its queue is in memory and is
// lost.
func (s *Stage) ScaleJobServer(ctx context.Context, replicas int32) error {
	set := &appsv1.StatefulSet{}
	set.Namespace, set.Name = s.Namespace, "gearmand"
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	return s.Client.Patch(ctx, set, client.RawPatch("application/merge-patch+json", patch))
}
