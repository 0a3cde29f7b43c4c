package kubectlgearman

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/poolrow"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
)

// liveRow requests the figures of the last poll from the operator.
func (c *plugin) liveRow(
	ctx context.Context, api client.Client, operatorNamespace string, pool *v1alpha1.GearmanWorkerPool,
) (*poolrow.Row, error) {
	all, err := c.liveRows(ctx, api, operatorNamespace)
	if err != nil {
		return nil, err
	}
	return rowOf(all, pool)
}

// liveRows requests all pools from the operator, with the figures of the last poll.
func (c *plugin) liveRows(ctx context.Context, api client.Client, operatorNamespace string) ([]poolrow.Row, error) {
	live, done, err := c.operatorRows(ctx, api, operatorNamespace)
	if err != nil {
		return nil, err
	}
	defer done()
	return live(ctx)
}

func rowOf(all []poolrow.Row, pool *v1alpha1.GearmanWorkerPool) (*poolrow.Row, error) {
	for i := range all {
		if all[i].Namespace == pool.Namespace && all[i].Pool == pool.Name {
			return &all[i], nil
		}
	}
	return nil, fmt.Errorf(
		"the operator does not know pool %s/%s: it may be new, or another operator's", pool.Namespace, pool.Name,
	)
}

// figuresAge describes the age of the queue's figures, and which job servers they lack.
func figuresAge(o explainOptions, pool *v1alpha1.GearmanWorkerPool) string {
	if o.live != nil {
		return liveAge(o.live)
	}
	return statusAge(pool, o.now)
}

// liveAge describes the figures that the operator reports.
func liveAge(row *poolrow.Row) string {
	text := "no job server has answered yet"
	if age := row.FiguresAgeSeconds; age != nil {
		text = seconds(*age) + " old"
	}
	parts := make([]string, 0, 1+len(row.Silent))
	parts = append(parts, text)
	for _, s := range row.Silent {
		parts = append(parts, silence(s))
	}
	return strings.Join(parts, "; ")
}

// statusAge describes the figures of a status. The operator does not write figures that have hardly
// changed, so old ones need not be wrong.
func statusAge(pool *v1alpha1.GearmanWorkerPool, now time.Time) string {
	var parts []string
	if at := statusWritten(pool); !at.IsZero() {
		age := now.Sub(at)
		text := "the status was written " + duration.HumanDuration(max(0, age)) + " ago"
		if age > 2*poolstatus.FiguresEvery {
			text += "; since then they have changed by a tenth at most, unless the operator is down (kubectl gearman doctor)"
		}
		parts = append(parts, text)
	}
	reachable := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionJobServersReachable)
	if reachable != nil && reachable.Status == metav1.ConditionFalse && !reachable.LastTransitionTime.IsZero() {
		parts = append(parts, "a job server has not answered for "+
			duration.HumanDuration(max(0, now.Sub(reachable.LastTransitionTime.Time))))
	}
	return strings.Join(parts, "; ")
}

// statusWritten is when a pool's status was last written by the writer of the decision; zero if the
// API server does not report it.
func statusWritten(pool *v1alpha1.GearmanWorkerPool) (at time.Time) {
	for i := range pool.ManagedFields {
		f := &pool.ManagedFields[i]
		decides := f.FieldsV1 != nil && strings.Contains(f.FieldsV1.GetRawString(), `"f:decision"`)
		if f.Subresource == "status" && decides && f.Time != nil && f.Time.After(at) {
			at = f.Time.Time
		}
	}
	return at
}
