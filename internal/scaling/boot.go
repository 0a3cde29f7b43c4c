package scaling

import (
	"slices"
	"time"
)

const (
	bootCount   = 20   // starts that the median is taken over
	maxBoot     = 120. // seconds; a longer start has another cause
	defaultBoot = 15.  // seconds, until a start was measured
)

// BootTimes learns how long a pod takes from its creation to its registration at a job server: the
// median of the last bootCount starts, which a few slow image pulls don't move.
type BootTimes struct {
	// Recent is a ring of start times in seconds, Next the index of the next one, Count how many
	// there are.
	Recent      [bootCount]float32
	Next, Count uint8
	// Newest is the registration time of the newest recorded start.
	Newest float64
	// Median is in seconds; 0 until a start was measured.
	Median float64
}

// learnBoot records the pods that registered since the last sample. Pods created before Epoch are
// left out, since this process has not seen them register. Kubernetes reports the time of their
// creation in whole seconds, rounded down.
func (s *State) learnBoot(pods []PodSample) {
	b := &s.Boot
	newest, changed := b.Newest, false
	epoch := s.Epoch.Truncate(time.Second)
	for i := range pods {
		p := &pods[i]
		if p.Registered.IsZero() || p.Broken || p.Created.Before(epoch) {
			continue
		}
		at := s.at(p.Registered)
		if at <= b.Newest {
			continue
		}
		newest = max(newest, at)
		b.Recent[b.Next] = float32(clamp(p.Registered.Sub(p.Created).Seconds(), 0, maxBoot))
		b.Next = (b.Next + 1) % bootCount
		b.Count = min(b.Count+1, bootCount)
		changed = true
	}
	b.Newest = newest
	if changed {
		sorted := b.Recent
		slices.Sort(sorted[:b.Count])
		b.Median = (float64(sorted[(b.Count-1)/2]) + float64(sorted[b.Count/2])) / 2
	}
}

// boot is the time a pod takes to start, in seconds.
func (s *State) boot() float64 {
	if s.Boot.Median > 0 {
		return s.Boot.Median
	}
	return defaultBoot
}
