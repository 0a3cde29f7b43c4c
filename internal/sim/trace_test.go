package sim

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

func TestTrace(t *testing.T) {
	name := os.Getenv("TRACE")
	if name == "" {
		t.Skip()
	}
	f := func(k string) float64 { x, _ := strconv.ParseFloat(os.Getenv(k), 64); return x }
	for _, m := range Makers() {
		if m.Name != name {
			continue
		}
		w := m.New(uint64(max(1, f("SEED"))))
		o := &Ours{Label: OurName, Policy: scaling.Policy{TargetWait: time.Duration(f("S")) * time.Second, JobTimeHint: time.Duration(f("HINT") * 1e9)}}
		last := int32(-1)
		c := Config{Boot: f("BOOT"), Targets: []float64{f("S")}, NoTelemetry: os.Getenv("DARK") != "", Seed: uint64(max(1, f("SEED")))}
		c.Trace = func(p Point) {
			if int32(p.Replicas) != last || p.At > f("FROM") && p.At < f("TO") {
				last = int32(p.Replicas)
				d := o.decision
				t.Logf("%7.1f q %4d r %3d repl %3d work %3d wait %5.1f  %-12s want %d miss %.2f load %.2f keep %.0f idle %.0f s %.2f boot %.1f old %.1f free %.0f start %.0f held %s", p.At, p.Queued, p.Running, p.Replicas, p.Working, p.OldestWait, p.Reason, d.Wanted, d.Terms.Missing, d.Terms.Load, d.Terms.Keep, d.Terms.Idle, d.Terms.JobSeconds, d.Terms.Boot, d.Terms.OldestWait, d.Terms.Free, d.Terms.Starting, d.Held)
			}
		}
		var s Simulator
		r := s.Run(w, o, c)
		t.Logf("miss %.2f hours %.2f", r.MissPercent(0), r.WorkerHours)
	}
}
