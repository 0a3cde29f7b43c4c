package controllers

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// TestAllGo: no marks are needed where every pod of a pool is idle and is to go, and only there.
func TestAllGo(t *testing.T) {
	t.Parallel()
	two := []pod{{name: "a", uid: "1"}, {name: "b", uid: "2"}}
	tests := map[string]struct {
		to, from, current int32
		pods              []pod
		victims           []string
		busy              string // uid
		want              bool
	}{
		"all":                       {0, 2, 2, two, []string{"b", "a"}, "", true},
		"all but one that ends":     {0, 1, 1, []pod{two[0], {name: "b", terminating: true}}, []string{"a"}, "", true},
		"not to zero":               {1, 2, 2, two, []string{"b"}, "", false},
		"one is no victim":          {0, 2, 2, two, []string{"b"}, "", false},
		"one works":                 {0, 2, 2, two, []string{"a", "b"}, "2", false},
		"a pod that is not seen":    {0, 3, 3, two, []string{"a", "b"}, "", false},
		"one more than there was":   {0, 2, 3, two, []string{"a", "b"}, "", false},
		"a victim that isn't there": {0, 2, 2, two, []string{"a", "c"}, "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := view{decision: scaling.Decision{Replicas: tt.to, Victims: tt.victims}}
			if tt.busy != "" {
				v.sample.Pods = []backlog.PodSample{{UID: tt.busy, Busy: 1}}
			}
			if got := allGo(workload{replicas: tt.from, current: tt.current}, tt.pods, v); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// cutOff is a client whose requests fail.
type cutOff struct{ client.Client }

func (cutOff) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("cut off")
}

// TestReconcileCutOff: a request that fails because the operator ends is no failed reconcile.
func TestReconcileCutOff(t *testing.T) {
	t.Parallel()
	r := &PoolReconciler{client: cutOff{}, clock: clocktesting.NewFakePassiveClock(time.Unix(1_700_000_000, 0))}
	request := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "ns", Name: "pool"}}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := r.Reconcile(ctx, request); err == nil {
		t.Error("a failure is not told")
	}
	cancel()
	if _, err := r.Reconcile(ctx, request); err != nil {
		t.Errorf("at the end of the operator: %v", err)
	}
}
