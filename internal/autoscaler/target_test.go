package autoscaler

import (
	"testing"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

func TestKindOf(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ref  *v1alpha1.TargetRef
		want scaling.WorkloadKind
	}{
		"its own":     {nil, scaling.KindOwned},
		"Deployment":  {&v1alpha1.TargetRef{Kind: "Deployment"}, scaling.KindTargetDeployment},
		"StatefulSet": {&v1alpha1.TargetRef{Kind: "StatefulSet"}, scaling.KindTargetStatefulSet},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := KindOf(&v1alpha1.GearmanWorkerPoolSpec{TargetRef: tt.ref}); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestOrdinal(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"w-0": 0, "w-10": 10, "my-w-3": 3, "w": 7, "w-x": 7} {
		if got := ordinal(name, 7); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}
