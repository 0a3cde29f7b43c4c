package scale

import (
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
)

// scales watches how Deployments are scaled.
type scales struct {
	mu       sync.Mutex
	expected map[string]time.Time // when a pool at zero got a job
	took     map[string]float64   // ms, from the job to the first replica
	down     int
}

func newScales() *scales {
	return &scales{expected: map[string]time.Time{}, took: map[string]float64{}}
}

func (s *scales) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.expected)
	clear(s.took)
	s.down = 0
}

// expect records that a pool at zero gets a job now.
func (s *scales) expect(pool string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expected[pool] = time.Now()
}

func (s *scales) changed(before, now *appsv1.Deployment) {
	from, to := *before.Spec.Replicas, *now.Spec.Replicas
	s.mu.Lock()
	defer s.mu.Unlock()
	if to < from {
		s.down++
	}
	pool := now.Namespace + "/" + now.Name
	if since, ok := s.expected[pool]; ok && to > from {
		s.took[pool] = time.Since(since).Seconds() * 1000
		delete(s.expected, pool)
	}
}

// missing returns how many pools with a job have no replica yet.
func (s *scales) missing() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.expected)
}

// downs returns how often replicas were lowered.
func (s *scales) downs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// times returns how long the pools whose names have this prefix took, in ms.
func (s *scales) times(prefix string) []float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []float64
	for pool, ms := range s.took {
		if strings.HasPrefix(pool, prefix) {
			out = append(out, ms)
		}
	}
	return out
}

// quantile is the smallest of v that at least q of all don't exceed.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return -1
	}
	v = slices.Sorted(slices.Values(v))
	return v[max(0, int(math.Ceil(q*float64(len(v))))-1)]
}
