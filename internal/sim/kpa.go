package sim

import "math"

// KPA is Knative's pod autoscaler with its defaults, based on its documentation. It divides the
// mean number of jobs present, over a stable window of 60 s and a panic window of 6 s, by a target
// of 70% of a pod's slots. It panics if the short window requires twice the ready pods. It at most
// halves the pods every tick, and scales to zero 30 s after the stable window was empty. Knative
// counts the requests in flight and at the activator, which correspond to queued and running jobs
// here.
type KPA struct {
	ring     [61]float64 // integral of the jobs present, each second
	filled   int
	panicked float64 // end of the panic
	most     int32   // largest number during the panic
	empty    float64 // when the stable window was last not empty
	second   int
}

// Name implements Law.
func (k *KPA) Name() string { return "Knative KPA" }

func (k *KPA) start(*Simulator) { *k = KPA{panicked: -1} }

func (k *KPA) step(s *Simulator) float64 {
	s.parted = false
	k.ring[k.second%61] = s.area
	k.second++
	k.filled = min(k.filled+1, 61)
	mean := func(window int) float64 {
		n := min(window, k.filled-1)
		if n <= 0 {
			return 0
		}
		return (s.area - k.ring[(k.second-1-n)%61]) / float64(n)
	}
	if k.second%2 != 0 && s.spec > 0 {
		return s.now + 1 // it decides every two seconds
	}
	stable, burst := mean(60), mean(6)
	if s.spec == 0 {
		// The activator reports at once.
		if s.queued > 0 {
			burst = max(burst, float64(s.queued))
		}
	}
	target := 0.7 * float64(s.w.Concurrency)
	ready := max(1, float64(s.ready))
	wantStable := min(math.Ceil(stable/target), ready*1000)
	wantBurst := min(math.Ceil(burst/target), ready*1000)
	if s.ready > 0 {
		wantStable = max(wantStable, math.Floor(ready/2))
		wantBurst = max(wantBurst, math.Floor(ready/2))
	}
	if wantBurst/ready >= 2 {
		if s.now > k.panicked {
			k.most = 0
		}
		k.panicked = s.now + 60
	}
	wanted := int32(wantStable)
	if s.now <= k.panicked {
		k.most = max(k.most, int32(wantBurst), s.spec)
		wanted = k.most
	}
	if stable > 0 || burst > 0 {
		k.empty = s.now
	}
	if wanted == 0 && s.now-k.empty < 30 {
		wanted = min(1, s.spec)
	}
	if n := min(max(wanted, s.c.MinReplicas), s.c.MaxReplicas); n != s.spec {
		s.setReplicas(n)
	}
	return s.now + 1
}
