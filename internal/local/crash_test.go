package local

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// Workers that are started together and crash together delay the next start like one crash, and
// each further round doubles the delay.
func TestCrashesOfOneRound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spec := &v1alpha1.GearmanWorkerPool{Spec: v1alpha1.GearmanWorkerPoolSpec{
			Servers: []v1alpha1.ServerAddress{"127.0.0.1:1"}, Function: "f", MaxReplicas: 10, Concurrency: 1,
			Runtime: &v1alpha1.RuntimeSpec{Exec: &v1alpha1.ExecRuntime{Command: []string{"true"}}},
		}}
		p := newMachine(t, spec, &simulated{begin: time.Now()}).pool
		for round, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			now := time.Now()
			for range 4 {
				p.crashed(now, "exit status 1")
			}
			if got := p.restartAt.Sub(now); got != want*time.Second || p.crashes != round+1 {
				t.Errorf("round %d: the next start is in %v after %d crashes, want %v s", round, got, p.crashes, int(want))
			}
			time.Sleep(want * time.Second)
		}
	})
}
