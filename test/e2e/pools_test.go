//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/test/cluster"
)

// pools are several pools on one stage. Each has the name of the function that it serves.
type pools struct {
	*cluster.Stage
	t *testing.T
}

// apply applies examples/reverse.yaml under another name.
func (p pools) apply(ctx context.Context, name string, edit func(spec map[string]any)) {
	p.t.Helper()
	must(p.t, p.ApplyFile(ctx, "examples/reverse.yaml", func(u *unstructured.Unstructured) {
		u.SetNamespace(p.Namespace)
		u.SetName(name)
		spec := u.Object["spec"].(map[string]any)
		spec["servers"], spec["function"] = []any{p.JobServer()}, name
		edit(spec)
	}))
}

func (p pools) get(ctx context.Context, name string) (*v1alpha1.GearmanWorkerPool, error) {
	pool := &v1alpha1.GearmanWorkerPool{}
	return pool, p.Client.Get(ctx, client.ObjectKey{Namespace: p.Namespace, Name: name}, pool)
}

// condition waits until a pool's condition has the status, and returns it.
func (p pools) condition(name, kind, status string) (found metav1.Condition) {
	p.t.Helper()
	eventually(p.t, 5*time.Minute, func(ctx context.Context) error {
		pool, err := p.get(ctx, name)
		if err != nil {
			return err
		}
		c := meta.FindStatusCondition(pool.Status.Conditions, kind)
		if c == nil || string(c.Status) != status {
			return fmt.Errorf("condition %s of pool %s is %+v, want %s", kind, name, c, status)
		}
		found = *c
		return nil
	})
	return found
}

// pods waits until n pods of a pool are ready, and returns their names.
func (p pools) pods(name string, n int) (names []string) {
	p.t.Helper()
	eventually(p.t, 4*time.Minute, func(ctx context.Context) error {
		var list corev1.PodList
		err := p.Client.List(
			ctx, &list, client.InNamespace(p.Namespace), client.MatchingLabels{v1alpha1.LabelPool: name},
		)
		names = names[:0]
		for i := range list.Items {
			for _, c := range list.Items[i].Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
					names = append(names, list.Items[i].Name)
				}
			}
		}
		if err == nil && len(names) != n {
			err = fmt.Errorf("%d pods of pool %s are ready, want %d: %s", len(names), name, n, strings.Join(names, " "))
		}
		return err
	})
	return names
}

// began waits until one of the jobs has started. The ledger shows that even if the job ended at
// once.
func (p pools) began(list []cluster.Job) {
	p.t.Helper()
	eventually(p.t, 5*time.Minute, func(ctx context.Context) error {
		runs, err := p.Runs(ctx)
		if err != nil {
			return err
		}
		if c := cluster.CountRuns(list, runs); c.Completed+c.Interrupted == 0 {
			return fmt.Errorf("none of %d jobs such as %s has started", len(list), list[0].ID)
		}
		return nil
	})
}
