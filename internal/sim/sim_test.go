package sim

import (
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

func TestSmoke(t *testing.T) {
	var s Simulator
	for _, m := range Makers() {
		w := m.New(1)
		c := Config{Targets: []float64{30}, Seed: 1}
		for _, l := range []Law{&Ours{Label: "ours", Policy: scaling.Policy{TargetWait: 30 * time.Second}}, KEDADefault(), KEDATuned(1), KEDATuned(2), KEDATuned(5), KEDATuned(20), &KPA{}} {
			t0 := time.Now()
			r := s.Run(w, l, c)
			t.Logf("%-28s %-14s jobs %6d miss %6.2f p99 %7.1f hours %7.2f act %4d rev %4d int %d drained %d peak %d ttp %.0f  %v", w.Name, l.Name(), r.Jobs, r.MissPercent(0), r.Quantile(.99), r.WorkerHours, r.Actions, r.Reversals, r.Interrupted, r.Drained, r.Peak, r.TimeToPeak, time.Since(t0))
		}
	}
}
