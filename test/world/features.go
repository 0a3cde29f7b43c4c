package world

import (
	"fmt"
	"math/rand/v2"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// A feature is a property of a seed's pools or machines, unlike a fault, which begins and ends.
// Each occurs in at least a twentieth of the seeds.
const (
	featureSchedule = "schedule"
	featureRates    = "behavior"
	featureTarget   = "targetRef"
	featureSkew     = "clock-skew"
)

var features = []string{
	featureSchedule, featureRates, featureTarget, featureSkew, featureNeighbor, featureTLS, featureSet, featureRetries,
}

// SchedulePlan changes a pool's bounds from the world's nth minute.
type SchedulePlan struct {
	Minute   int
	For      time.Duration
	Min, Max int32 // 0: the pool's own
}

// RatesPlan is how many pods a pool's behavior lets it gain and lose within a period; 0: any
// number.
type RatesPlan struct {
	Up, Down int32
	Per      time.Duration
}

// Skews is how far the clocks of the world's machines are ahead of the operator's.
type Skews struct {
	API   time.Duration
	Nodes []time.Duration
}

const mostSkew = 20 * time.Second

// addFeatures draws from a source of its own, so that a new feature leaves a seed's pools and jobs
// unchanged.
func (p *Plan) addFeatures() {
	g := generator{rand.New(rand.NewPCG(p.Seed, 0xfea7))}
	for i := range p.Pools {
		pool := &p.Pools[i]
		if g.chance(0.12) {
			s := &SchedulePlan{Minute: 2 + g.IntN(6), For: g.between(time.Minute, 4*time.Minute).Truncate(time.Second)}
			if g.chance(0.6) {
				s.Min = min(pool.Max, pool.Min+1+int32(g.IntN(6)))
			} else {
				s.Max = max(1, pool.Max/int32(2+g.IntN(4)))
			}
			pool.Schedule = s
		}
		if g.chance(0.12) {
			r := &RatesPlan{Per: g.between(15*time.Second, 90*time.Second).Truncate(time.Second)}
			switch g.IntN(3) {
			case 0:
				r.Up = int32(1 + g.IntN(5))
			case 1:
				r.Down = int32(1 + g.IntN(5))
			default:
				r.Up, r.Down = int32(1+g.IntN(5)), int32(1+g.IntN(5))
			}
			pool.Rates = r
		}
		pool.Target = g.chance(0.1)
	}
	p.Skews.Nodes = make([]time.Duration, p.Nodes)
	if g.chance(0.12) {
		skew := func() time.Duration { return g.between(-mostSkew, mostSkew) }
		p.Skews.API = skew()
		for i := range p.Skews.Nodes {
			p.Skews.Nodes[i] = skew()
		}
	}
}

// skewOf returns how far a node's clock is ahead.
func (p *Plan) skewOf(node string) time.Duration {
	for i, skew := range p.Skews.Nodes {
		if nodeName(i) == node {
			return skew
		}
	}
	return 0
}

// features returns the names of a plan's features.
func (p *Plan) features() (out []string) {
	for _, f := range features {
		if p.has(f) {
			out = append(out, f)
		}
	}
	return out
}

func (p *Plan) has(feature string) bool {
	switch feature {
	case featureSkew:
		return p.Skews.API != 0
	case featureNeighbor:
		return p.Neighbor
	case featureTLS:
		return p.TLS
	}
	for i := range p.Pools {
		pool := &p.Pools[i]
		switch {
		case feature == featureSchedule && pool.Schedule != nil,
			feature == featureRates && pool.Rates != nil,
			feature == featureTarget && pool.Target && !pool.Set,
			feature == featureSet && pool.Set,
			feature == featureRetries && pool.Backoff > 0:
			return true
		}
	}
	return false
}

// scalingOf adds a pool's schedule and behavior to its spec.
func (p *PoolPlan) scalingOf(s *v1alpha1.ScalingSpec) {
	if plan := p.Schedule; plan != nil {
		of := v1alpha1.Schedule{
			Name: "busy", Start: fmt.Sprintf("%d 0 * * *", plan.Minute), DurationSeconds: int32(plan.For.Seconds()),
		}
		if plan.Min > 0 {
			of.MinReplicas = &plan.Min
		}
		if plan.Max > 0 {
			of.MaxReplicas = &plan.Max
		}
		s.Schedules = []v1alpha1.Schedule{of}
	}
	if plan := p.Rates; plan != nil {
		rules := func(n int32) *autoscalingv2.HPAScalingRules {
			if n == 0 {
				return nil
			}
			return &autoscalingv2.HPAScalingRules{Policies: []autoscalingv2.HPAScalingPolicy{
				{Type: autoscalingv2.PodsScalingPolicy, Value: n, PeriodSeconds: int32(plan.Per.Seconds())},
			}}
		}
		s.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{
			ScaleUp: rules(plan.Up), ScaleDown: rules(plan.Down),
		}
	}
}

// bounds returns a pool's least and greatest number of pods at a time since the world began, which
// is at midnight. If they cross, the maximum wins.
func (s *SchedulePlan) bounds(least, most int32, at time.Duration) (lo, hi int32) {
	lo, hi = least, most
	begin := time.Duration(s.Minute) * time.Minute
	if at < begin || at >= begin+s.For {
		return lo, hi
	}
	if s.Min > 0 {
		lo = max(lo, s.Min)
	}
	if s.Max > 0 {
		hi = min(hi, s.Max)
	}
	return min(lo, hi), hi
}
