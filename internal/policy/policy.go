package policy

import (
	"fmt"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// Compiled is a pool's spec, checked and ready to be turned into a scaling.Policy at any moment.
type Compiled struct {
	base      scaling.Policy
	schedules []Schedule
}

// Compile checks what the CRD's validation cannot see. An error says which field to change.
func Compile(s *v1alpha1.GearmanWorkerPoolSpec) (Compiled, error) {
	sc := s.Scaling
	if sc == nil {
		sc = &v1alpha1.ScalingSpec{}
	}
	schedules, err := CompileSchedules(sc.Schedules)
	if err != nil {
		return Compiled{}, fmt.Errorf("scaling.schedules: %w", err)
	}
	behavior, err := behaviorOf(sc.Behavior)
	if err != nil {
		return Compiled{}, fmt.Errorf("scaling.behavior: %w", err)
	}
	p := scaling.Policy{
		MinReplicas: s.MinReplicas, MaxReplicas: s.MaxReplicas,
		Concurrency: max(1, s.Concurrency),
		TargetWait:  secondsOr(sc.TargetWaitSeconds, 0),
		JobTimeHint: secondsOr(sc.JobSeconds, 0),
		Tick:        Poll(s),
		// To the law zero means unset; a user's zero means as soon as the law's own windows allow.
		Idle:      max(time.Millisecond, secondsOr(sc.IdleSeconds, DefaultIdle)),
		Mode:      scaling.Mode(Mode(s)),
		ScaleDown: scaling.ScaleDown(sc.PodRemoval),
		Behavior:  behavior,
		Drain:     time.Duration(DrainSeconds(s)) * time.Second,
	}
	if sc.JobsPerReplica != nil {
		p.JobsPerReplica = *sc.JobsPerReplica
	} else if p.TargetWait == 0 {
		p.TargetWait = DefaultTargetWait
	}
	if sc.ManualReplicas != nil {
		p.ManualReplicas = *sc.ManualReplicas
	}
	if f := sc.Fallback; f != nil {
		p.Fallback = &scaling.Fallback{
			After: time.Duration(f.AfterSeconds) * time.Second, Policy: scaling.FallbackPolicy(f.Policy),
		}
		if f.Replicas != nil {
			p.Fallback.Replicas = *f.Replicas
		}
	}
	return Compiled{base: p, schedules: schedules}, nil
}

// At returns the policy at now: schedules have raised the floor and lowered the ceiling.
func (c Compiled) At(now time.Time) scaling.Policy {
	p := c.base
	p.MinReplicas, p.MaxReplicas = Bounds(p.MinReplicas, p.MaxReplicas, c.schedules, now)
	return p
}

// ActiveSchedules returns the names of the schedules in force at now, in the order of the spec.
func (c Compiled) ActiveSchedules(now time.Time) []string {
	var names []string
	for _, s := range c.schedules {
		if s.Active(now) {
			names = append(names, s.name)
		}
	}
	return names
}

func behaviorOf(b *autoscalingv2.HorizontalPodAutoscalerBehavior) (*scaling.Behavior, error) {
	if b == nil {
		return nil, nil
	}
	up, err := rulesOf(b.ScaleUp)
	if err != nil {
		return nil, fmt.Errorf("scaleUp: %w", err)
	}
	down, err := rulesOf(b.ScaleDown)
	if err != nil {
		return nil, fmt.Errorf("scaleDown: %w", err)
	}
	return &scaling.Behavior{ScaleUp: up, ScaleDown: down}, nil
}

func rulesOf(r *autoscalingv2.HPAScalingRules) (*scaling.ScalingRules, error) {
	if r == nil {
		return nil, nil
	}
	out := &scaling.ScalingRules{Stabilization: secondsOr(r.StabilizationWindowSeconds, 0)}
	if out.Stabilization < 0 || out.Stabilization > time.Hour {
		return nil, fmt.Errorf(
			"stabilizationWindowSeconds must be from 0 to 3600, not %d", *r.StabilizationWindowSeconds,
		)
	}
	if r.SelectPolicy != nil {
		out.Select = scaling.SelectPolicy(*r.SelectPolicy)
		switch out.Select {
		case scaling.SelectMax, scaling.SelectMin, scaling.SelectDisabled:
		default:
			return nil, fmt.Errorf("selectPolicy must be Max, Min or Disabled, not %q", out.Select)
		}
	}
	if r.Tolerance != nil {
		out.Tolerance = r.Tolerance.AsApproximateFloat64()
		if out.Tolerance < 0 {
			return nil, fmt.Errorf("tolerance must not be negative")
		}
	}
	for _, p := range r.Policies {
		t := scaling.PolicyType(p.Type)
		if t != scaling.PolicyPods && t != scaling.PolicyPercent {
			return nil, fmt.Errorf("a policy's type must be Pods or Percent, not %q", p.Type)
		}
		if p.Value <= 0 {
			return nil, fmt.Errorf("a policy's value must be greater than 0, not %d", p.Value)
		}
		if p.PeriodSeconds <= 0 || p.PeriodSeconds > 1800 {
			return nil, fmt.Errorf("a policy's periodSeconds must be from 1 to 1800, not %d", p.PeriodSeconds)
		}
		out.Policies = append(
			out.Policies,
			scaling.ScalingPolicy{Type: t, Value: p.Value, Period: time.Duration(p.PeriodSeconds) * time.Second},
		)
	}
	return out, nil
}
