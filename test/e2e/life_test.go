//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/test/cluster"
)

// TestLeaderKilled: of two replicas of the operator the leader is killed in the middle of a
// backlog, without a chance to shut down. The other takes over, and nothing is scaled down by
// mistake.
func TestLeaderKilled(t *testing.T) {
	t.Parallel()
	s := stage(t)
	disturb.Lock()
	defer disturb.Unlock()
	ctx := within(t, 10*time.Minute)
	must(t, live.ScaleOperator(ctx, 2))
	defer func() { must(t, live.ScaleOperator(context.WithoutCancel(ctx), 1)) }()
	eventually(t, 2*time.Minute, live.OperatorReady)
	keepsReplicas(t, s, "leader", func(ctx context.Context) {
		before := leader(ctx, t)
		must(
			t,
			live.API.CoreV1().Pods(cluster.OperatorNamespace).Delete(
				ctx, before, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))},
			),
		)
		begin := time.Now()
		eventually(t, 2*time.Minute, func(context.Context) error {
			if now := leader(ctx, t); now == before {
				return fmt.Errorf("%s still leads", before)
			}
			return nil
		})
		t.Logf("another leads after %v", time.Since(begin).Round(time.Second))
	})
	atZero(t, s, 6*time.Minute) // the new leader decides
}

// leader returns the operator's pod that holds the lease.
func leader(ctx context.Context, t *testing.T) string {
	t.Helper()
	var lease coordinationv1.Lease
	must(
		t,
		live.Client.Get(ctx, client.ObjectKey{Namespace: cluster.OperatorNamespace, Name: "gearman-operator"}, &lease),
	)
	pod, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	return pod
}

// TestDeleteNamespace: a namespace is deleted with everything in it, while jobs run. Nothing delays
// the deletion, the operator forgets the pool and its job server, and it logs no errors.
func TestDeleteNamespace(t *testing.T) {
	t.Parallel()
	s := stage(t)
	backlog(t, s, "deleted", 40)
	ctx := within(t, 5*time.Minute)
	mentions := func() (n int) {
		metrics, err := s.OperatorMetrics(ctx)
		must(t, err)
		for line := range strings.Lines(metrics) {
			if !strings.HasPrefix(line, "#") && (strings.Contains(line, `"`+s.Namespace+`"`) || strings.Contains(line, "."+s.Namespace+".svc")) {
				n++
			}
		}
		return n
	}
	if mentions() == 0 {
		t.Fatal("the operator's metrics do not speak of the pool: they cannot tell when it is forgotten")
	}
	begin := time.Now()
	must(t, live.DeleteNamespace(ctx, s.Namespace))
	t.Logf("gone after %v", time.Since(begin).Round(time.Second))
	eventually(t, time.Minute, func(context.Context) error {
		if n := mentions(); n > 0 {
			return fmt.Errorf("%d metrics still speak of the namespace", n)
		}
		return nil
	})
	log, err := s.OperatorLogSince(ctx, begin)
	must(t, err)
	for line := range strings.Lines(log) {
		// client-go logs an event that was in flight when the namespace began to terminate.
		late := strings.Contains(line, "Server rejected event") && strings.Contains(line, "it is being terminated")
		if strings.Contains(line, s.Namespace) && strings.Contains(line, `"level":"ERROR"`) && !late {
			t.Errorf("the operator complains: %s", line)
		}
	}
}

// TestUpgradeCRD: the CRD gets another field, as with a later version, while a pool runs jobs. The
// pool continues, and so does the operator's watch.
func TestUpgradeCRD(t *testing.T) {
	t.Parallel()
	s := stage(t)
	list := backlog(t, s, "crd", 40)
	ctx := within(t, 5*time.Minute)
	before, err := s.Pool(ctx)
	must(t, err)
	crd := &unstructured.Unstructured{}
	crd.SetAPIVersion("apiextensions.k8s.io/v1")
	crd.SetKind("CustomResourceDefinition")
	crd.SetName("gearmanworkerpools.gearman.dev")
	const field = `"path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/later"`
	patch := func(op string) {
		must(
			t,
			live.Client.Patch(
				context.WithoutCancel(ctx), crd,
				client.RawPatch("application/json-patch+json", []byte("[{"+field+","+op+"}]")),
			),
		)
	}
	patch(`"op":"add","value":{"type":"string"}`)
	defer patch(`"op":"remove"`)
	eventually(t, time.Minute, func(ctx context.Context) error {
		return s.ApplyPool(ctx, func(spec map[string]any) {
			spec["minReplicas"], spec["maxReplicas"], spec["later"] = int64(12), int64(12), "no"
		})
	})
	ready(t, s, 12, 3*time.Minute)
	after, err := s.Pool(ctx)
	must(t, err)
	if after.UID != before.UID {
		t.Error("the pool has been made anew")
	}
	allRanOnce(t, s, list, 5*time.Minute)
	if w, err := s.Workers(ctx); err != nil || w.Replicas != 12 {
		t.Errorf("%d replicas, %v; want the 12 that the pool asks for", w.Replicas, err)
	}
}
