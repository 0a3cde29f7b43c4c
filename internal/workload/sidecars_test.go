package workload

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

func TestSidecarsThatStopFirst(t *testing.T) {
	t.Parallel()
	const two = `{"spec":{"containers":[{"name":"proxy"},{"name":"worker"},{"name":"cache"}]}}`
	tests := map[string]struct {
		template string
		drain    *int32
		timeout  *int32
		want     []string
	}{
		"a long drain":          {template: two, drain: new(int32(600)), want: []string{"cache", "proxy"}},
		"a long job timeout":    {template: two, timeout: new(int32(600)), want: []string{"cache", "proxy"}},
		"a short drain":         {template: two, drain: new(int32(30))},
		"the default drain":     {template: two},
		"only the worker":       {template: `{"spec":{"containers":[{"name":"worker"}]}}`, drain: new(int32(600))},
		"sidecars that outlive": {template: `{"spec":{"initContainers":[{"name":"proxy","restartPolicy":"Always"}]}}`, drain: new(int32(600))},
		"no JSON":               {template: `{`, drain: new(int32(600))},
		"no template":           {drain: new(int32(600))},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &v1alpha1.GearmanWorkerPoolSpec{DrainSeconds: tc.drain}
			if tc.timeout != nil {
				s.Runtime = &v1alpha1.RuntimeSpec{JobTimeoutSeconds: tc.timeout}
			}
			if tc.template != "" {
				s.PodTemplate = &runtime.RawExtension{Raw: []byte(tc.template)}
			}
			if diff := cmp.Diff(tc.want, SidecarsThatStopFirst(s)); diff != "" {
				t.Errorf("sidecars (-want +got):\n%s", diff)
			}
		})
	}
}
