package autoscaler

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

func TestPin(t *testing.T) {
	t.Parallel()
	idle := func(name string) scaling.PodSample {
		return scaling.PodSample{Name: name, Ready: true, Telemetry: true}
	}
	busy := func(name string) scaling.PodSample {
		p := idle(name)
		p.Busy = 1
		return p
	}
	dark := func(name string) scaling.PodSample { return scaling.PodSample{Name: name, Ready: true} }
	leaving := busy("w-3")
	leaving.Terminating = true
	tests := map[string]struct {
		rule    targetRule
		pods    []scaling.PodSample
		running int64
		want    []bool
	}{
		"a pool's own pods":                         {noTarget, []scaling.PodSample{busy("w-0"), idle("w-1")}, 1, []bool{false, false}},
		"trusted":                                   {targetTrusted, []scaling.PodSample{busy("w-0"), idle("w-1")}, 1, []bool{false, false}},
		"Deployment, one works":                     {targetIdle, []scaling.PodSample{idle("w-a1b2c"), busy("w-x"), idle("w-77")}, 1, []bool{true, true, true}},
		"Deployment, none works":                    {targetIdle, []scaling.PodSample{idle("w-a"), idle("w-b")}, 0, []bool{false, false}},
		"Deployment, none works but foreign":        {targetIdle, []scaling.PodSample{idle("w-a"), idle("w-b")}, 3, []bool{false, false}},
		"Deployment, one says nothing, a job runs":  {targetIdle, []scaling.PodSample{idle("w-a"), dark("w-b")}, 1, []bool{true, true}},
		"Deployment, one says nothing, none runs":   {targetIdle, []scaling.PodSample{idle("w-a"), dark("w-b")}, 0, []bool{false, false}},
		"Deployment, one that leaves works":         {targetIdle, []scaling.PodSample{idle("w-a"), leaving}, 1, []bool{false, false}},
		"StatefulSet, the middle works":             {targetHighest, []scaling.PodSample{idle("w-2"), idle("w-0"), busy("w-1")}, 1, []bool{false, true, true}},
		"StatefulSet, numbers not letters":          {targetHighest, []scaling.PodSample{busy("w-9"), idle("w-10")}, 1, []bool{true, false}},
		"StatefulSet, the highest works":            {targetHighest, []scaling.PodSample{idle("w-0"), busy("w-1")}, 1, []bool{true, true}},
		"StatefulSet, none works":                   {targetHighest, []scaling.PodSample{idle("w-0"), idle("w-1")}, 0, []bool{false, false}},
		"StatefulSet, a middle one is dark":         {targetHighest, []scaling.PodSample{idle("w-0"), dark("w-1"), idle("w-2")}, 1, []bool{true, true, false}},
		"StatefulSet, one that starts says nothing": {targetHighest, []scaling.PodSample{idle("w-0"), {Name: "w-1"}}, 1, []bool{false, false}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pin(tt.rule, tt.pods, []scaling.FunctionSample{{Name: "f", Running: tt.running}})
			got := make([]bool, len(tt.pods))
			for i := range tt.pods {
				got[i] = tt.pods[i].Pinned
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("pinned (-want +got):\n%s", diff)
			}
		})
	}
}
