package sim

import (
	"fmt"
	"math"
)

// KEDA is KEDA's queue length metric on a HorizontalPodAutoscaler, based on the documentation of
// both. KEDA scales the pool from zero to one replica and back, and the HPA does the rest with an
// AverageValue target. The metric also counts running jobs. KEDA's scalers for queues with
// acknowledgement do so by default; otherwise pods would be removed while they run jobs.
type KEDA struct {
	Label         string
	Target        float64 // jobs for each replica
	Poll          float64 // KEDA's pollingInterval, at zero replicas
	Sync          float64 // the HPA's period
	Cooldown      float64 // KEDA's cooldownPeriod: scale to zero when inactive for this long
	Stabilization float64 // for scaling down
	// UpPods or UpPercent may be added within UpPeriod, whichever is more.
	UpPods, UpPercent, UpPeriod float64

	active  float64
	recent  []recommendation
	changes []recommendation
}

type recommendation struct {
	at float64
	n  int32
}

// KEDADefault has KEDA's and the HPA's defaults, and the target of 5 jobs per replica that KEDA's
// scalers for queues use if none is given.
func KEDADefault() *KEDA {
	return &KEDA{
		Label: "KEDA default", Target: 5, Poll: 30, Sync: 15, Cooldown: 300, Stabilization: 300, UpPods: 4,
		UpPercent: 100, UpPeriod: 15,
	}
}

// KEDATuned polls as often as the operator, waits a minute instead of five before it scales down or
// to zero, and may scale up tenfold at once.
func KEDATuned(target float64) *KEDA {
	return &KEDA{
		Label: fmt.Sprintf("KEDA T=%g", target), Target: target, Poll: 5, Sync: 5, Cooldown: 60, Stabilization: 60,
		UpPods: 10, UpPercent: 900, UpPeriod: 15,
	}
}

// Name implements Law.
func (k *KEDA) Name() string { return k.Label }

func (k *KEDA) start(*Simulator) { k.active, k.recent, k.changes = 0, k.recent[:0], k.changes[:0] }

func (k *KEDA) step(s *Simulator) float64 {
	metric := float64(s.counted())
	s.parted = false
	if metric > 0 {
		k.active = s.now
	}
	if s.spec == 0 {
		if metric == 0 && s.c.MinReplicas == 0 {
			return s.now + k.Poll
		}
		s.setReplicas(1) // the HPA does the rest, and doesn't count this as its own change
		return s.now + k.Sync
	}
	if s.now-k.active >= k.Cooldown && s.c.MinReplicas == 0 {
		k.set(s, 0)
		k.recent = k.recent[:0]
		return s.now + k.Poll
	}
	wanted := s.spec
	if ratio := metric / (k.Target * float64(s.spec)); math.Abs(ratio-1) > 0.1 {
		wanted = int32(math.Ceil(metric / k.Target))
	}
	wanted = min(max(wanted, 1, s.c.MinReplicas), s.c.MaxReplicas)
	keep := 0
	for _, r := range k.recent {
		if r.at >= s.now-k.Stabilization {
			k.recent[keep] = r
			keep++
		}
	}
	k.recent = append(k.recent[:keep], recommendation{s.now, wanted})
	for _, r := range k.recent {
		if wanted < s.spec {
			wanted = max(wanted, min(r.n, s.spec))
		}
	}
	if wanted > s.spec {
		start := float64(s.spec)
		keep = 0
		for _, c := range k.changes {
			if c.at > s.now-k.UpPeriod {
				k.changes[keep] = c
				keep++
				start -= float64(c.n)
			}
		}
		k.changes = k.changes[:keep]
		most := max(start+k.UpPods, math.Ceil(start*(1+k.UpPercent/100)))
		wanted = max(s.spec, min(wanted, int32(most)))
	}
	k.set(s, wanted)
	return s.now + k.Sync
}

func (k *KEDA) set(s *Simulator, n int32) {
	if n == s.spec {
		return
	}
	k.changes = append(k.changes, recommendation{s.now, n - s.spec})
	s.setReplicas(n)
}
