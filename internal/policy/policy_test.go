package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

func TestServersGetAPort(t *testing.T) {
	t.Parallel()
	spec := &v1alpha1.GearmanWorkerPoolSpec{
		Servers: []v1alpha1.ServerAddress{"h", "h:1", "[::1]", "[::1]:2", "10.0.0.1"},
	}
	want := []string{"h:4730", "h:1", "[::1]:4730", "[::1]:2", "10.0.0.1:4730"}
	if diff := cmp.Diff(want, Servers(spec)); diff != "" {
		t.Error(diff)
	}
}

func TestDrainSeconds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spec v1alpha1.GearmanWorkerPoolSpec
		want int32
	}{
		"no runtime": {v1alpha1.GearmanWorkerPoolSpec{}, 300},
		"a runtime":  {v1alpha1.GearmanWorkerPoolSpec{Runtime: &v1alpha1.RuntimeSpec{}}, 3600},
		"said":       {v1alpha1.GearmanWorkerPoolSpec{DrainSeconds: new(int32(7))}, 7},
		"from the job": {
			v1alpha1.GearmanWorkerPoolSpec{Runtime: &v1alpha1.RuntimeSpec{JobTimeoutSeconds: new(int32(60))}}, 90,
		},
		"said beats both": {
			v1alpha1.GearmanWorkerPoolSpec{
				DrainSeconds: new(int32(100)), Runtime: &v1alpha1.RuntimeSpec{JobTimeoutSeconds: new(int32(60))},
			},
			100,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := DrainSeconds(&tt.spec); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

// Only what the user set counts as chosen.
func TestChosenDrainSeconds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spec v1alpha1.GearmanWorkerPoolSpec
		want int32
	}{
		"no runtime": {v1alpha1.GearmanWorkerPoolSpec{}, 0},
		"a runtime":  {v1alpha1.GearmanWorkerPoolSpec{Runtime: &v1alpha1.RuntimeSpec{}}, 0},
		"a drain":    {v1alpha1.GearmanWorkerPoolSpec{DrainSeconds: new(int32(700))}, 700},
		"a job timeout": {
			v1alpha1.GearmanWorkerPoolSpec{Runtime: &v1alpha1.RuntimeSpec{JobTimeoutSeconds: new(int32(700))}}, 730,
		},
	}
	for name, tt := range tests {
		if got := ChosenDrainSeconds(&tt.spec); got != tt.want {
			t.Errorf("%s: got %d, want %d", name, got, tt.want)
		}
	}
}

func TestCompile(t *testing.T) {
	t.Parallel()
	base := scaling.Policy{
		MaxReplicas: 10, Concurrency: 1, TargetWait: 30 * time.Second, Tick: 5 * time.Second, Idle: 30 * time.Second,
		Mode: scaling.ModeAuto, Drain: 5 * time.Minute,
	}
	with := func(f func(*scaling.Policy)) scaling.Policy { p := base; f(&p); return p }
	tests := map[string]struct {
		scaling *v1alpha1.ScalingSpec
		want    scaling.Policy
	}{
		"nothing said": {nil, base},
		"jobsPerReplica alone has no target wait": {
			&v1alpha1.ScalingSpec{JobsPerReplica: new(int32(4))},
			with(func(p *scaling.Policy) { p.TargetWait, p.JobsPerReplica = 0, 4 }),
		},
		"both targets": {
			&v1alpha1.ScalingSpec{JobsPerReplica: new(int32(4)), TargetWaitSeconds: new(int32(9))},
			with(func(p *scaling.Policy) { p.TargetWait, p.JobsPerReplica = 9*time.Second, 4 }),
		},
		"manual": {
			&v1alpha1.ScalingSpec{Mode: v1alpha1.ModeManual, ManualReplicas: new(int32(3))},
			with(func(p *scaling.Policy) { p.Mode, p.ManualReplicas = scaling.ModeManual, 3 }),
		},
		"idle at once": {
			&v1alpha1.ScalingSpec{
				IdleSeconds: new(int32(0)), PollSeconds: new(int32(2)), JobSeconds: new(int32(8)),
				PodRemoval: v1alpha1.PodRemovalGraceful,
			},
			with(func(p *scaling.Policy) {
				p.Idle, p.Tick, p.JobTimeHint = time.Millisecond, 2*time.Second, 8*time.Second
				p.ScaleDown = scaling.ScaleDownGraceful
			}),
		},
		"fallback": {
			&v1alpha1.ScalingSpec{
				Fallback: &v1alpha1.Fallback{
					AfterSeconds: 60, Policy: v1alpha1.FallbackAtLeast, Replicas: new(int32(2)),
				},
			},
			with(func(p *scaling.Policy) {
				p.Fallback = &scaling.Fallback{After: time.Minute, Policy: scaling.FallbackAtLeast, Replicas: 2}
			}),
		},
		"behavior": {
			&v1alpha1.ScalingSpec{Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{
				ScaleUp: &autoscalingv2.HPAScalingRules{
					StabilizationWindowSeconds: new(int32(7)), SelectPolicy: new(autoscalingv2.MinChangePolicySelect),
					Tolerance: new(resource.MustParse("0.2")),
					Policies: []autoscalingv2.HPAScalingPolicy{
						{Type: autoscalingv2.PodsScalingPolicy, Value: 3, PeriodSeconds: 15},
					},
				},
			}},
			with(func(p *scaling.Policy) {
				p.Behavior = &scaling.Behavior{ScaleUp: &scaling.ScalingRules{
					Stabilization: 7 * time.Second, Select: scaling.SelectMin, Tolerance: 0.2,
					Policies: []scaling.ScalingPolicy{{Type: scaling.PolicyPods, Value: 3, Period: 15 * time.Second}},
				}}
			}),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := Compile(&v1alpha1.GearmanWorkerPoolSpec{MaxReplicas: 10, Scaling: tt.scaling})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, c.At(time.Unix(0, 0))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	rule := func(r autoscalingv2.HPAScalingRules) *v1alpha1.ScalingSpec {
		return &v1alpha1.ScalingSpec{Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &r}}
	}
	schedule := func(s v1alpha1.Schedule) *v1alpha1.ScalingSpec {
		return &v1alpha1.ScalingSpec{Schedules: []v1alpha1.Schedule{s}}
	}
	policyOf := func(p autoscalingv2.HPAScalingPolicy) *v1alpha1.ScalingSpec {
		return rule(autoscalingv2.HPAScalingRules{Policies: []autoscalingv2.HPAScalingPolicy{p}})
	}
	tests := map[string]struct {
		scaling *v1alpha1.ScalingSpec
		want    string
	}{
		"bad cron": {schedule(v1alpha1.Schedule{Name: "a", Start: "at eight!!"}), `schedule "a": start "at eight!!" is not a cron expression`},
		"zone in start": {
			schedule(v1alpha1.Schedule{Name: "a", Start: "CRON_TZ=UTC 0 8 * * *"}), "put the time zone into timeZone",
		},
		"bad zone":   {schedule(v1alpha1.Schedule{Name: "a", Start: "0 8 * * *", TimeZone: "Mars/Base"}), `timeZone "Mars/Base" is not a name`},
		"local zone": {schedule(v1alpha1.Schedule{Name: "a", Start: "0 8 * * *", TimeZone: "Local"}), "not Local"},
		"window": {
			rule(autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: new(int32(3601))}), "from 0 to 3600",
		},
		"select": {
			rule(autoscalingv2.HPAScalingRules{SelectPolicy: new(autoscalingv2.ScalingPolicySelect("Odd"))}),
			"selectPolicy must be",
		},
		"tolerance": {
			rule(autoscalingv2.HPAScalingRules{Tolerance: new(resource.MustParse("-1"))}),
			"tolerance must not be negative",
		},
		"policy type": {
			policyOf(autoscalingv2.HPAScalingPolicy{Type: "Jobs", Value: 1, PeriodSeconds: 1}),
			"type must be Pods or Percent",
		},
		"policy value": {
			policyOf(autoscalingv2.HPAScalingPolicy{Type: "Pods", PeriodSeconds: 1}), "value must be greater than 0",
		},
		"policy seconds": {
			policyOf(autoscalingv2.HPAScalingPolicy{Type: "Pods", Value: 1, PeriodSeconds: 1801}),
			"periodSeconds must be from 1 to 1800",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Compile(&v1alpha1.GearmanWorkerPoolSpec{Scaling: tt.scaling})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	berlin := []v1alpha1.Schedule{
		{Name: "day", Start: "0 8 * * *", DurationSeconds: 3600, TimeZone: "Europe/Berlin", MinReplicas: new(int32(5))},
	}
	night := []v1alpha1.Schedule{
		{
			Name: "night", Start: "30 2 * * *", DurationSeconds: 4 * 3600, TimeZone: "Europe/Berlin",
			MinReplicas: new(int32(5)),
		},
	}
	// Clocks in Beirut go from 00:00 to 01:00 on 2026-03-29.
	midnight := []v1alpha1.Schedule{
		{
			Name: "midnight", Start: "0 0 * * *", DurationSeconds: 1800, TimeZone: "Asia/Beirut",
			MinReplicas: new(int32(5)),
		},
	}
	sundays := []v1alpha1.Schedule{
		{
			Name: "sundays", Start: "15 2 * * 0", DurationSeconds: 600, TimeZone: "Europe/Berlin",
			MinReplicas: new(int32(5)),
		},
	}
	mondays := []v1alpha1.Schedule{
		{
			Name: "mondays", Start: "15 2 * * 1", DurationSeconds: 600, TimeZone: "Europe/Berlin",
			MinReplicas: new(int32(5)),
		},
	}
	long := []v1alpha1.Schedule{
		{
			Name: "long", Start: "30 2 29 3 *", DurationSeconds: 250 * 86400, TimeZone: "Europe/Berlin",
			MinReplicas: new(int32(5)),
		},
	}
	overlap := []v1alpha1.Schedule{
		{Name: "up", Start: "0 0 * * *", DurationSeconds: 86400, MinReplicas: new(int32(8))},
		{Name: "down", Start: "0 0 * * *", DurationSeconds: 86400, MaxReplicas: new(int32(3))},
	}
	// Clocks in Berlin go from 02:00 to 03:00 on 2026-03-29, and from 03:00 back to 02:00 on
	// 2026-10-25.
	tests := map[string]struct {
		schedules []v1alpha1.Schedule
		now       string
		lo, hi    int32
	}{
		"before":                                 {berlin, "2026-01-10T06:59:59Z", 1, 10},
		"at the start":                           {berlin, "2026-01-10T07:00:00Z", 5, 10},
		"last second":                            {berlin, "2026-01-10T07:59:59Z", 5, 10},
		"over":                                   {berlin, "2026-01-10T08:00:00Z", 1, 10},
		"in summer an hour less":                 {berlin, "2026-07-10T06:00:00Z", 5, 10},
		"winter's hour is over":                  {berlin, "2026-07-10T07:00:00Z", 1, 10},
		"the morning of change":                  {berlin, "2026-03-29T06:30:00Z", 5, 10},
		"the change back":                        {berlin, "2026-10-25T07:30:00Z", 5, 10},
		"the start is skipped, before the gap":   {night, "2026-03-29T00:59:59Z", 1, 10},
		"the start is skipped, at the gap's end": {night, "2026-03-29T01:00:00Z", 5, 10},
		"the start is skipped, last second":      {night, "2026-03-29T04:59:59Z", 5, 10},
		"the start is skipped, over":             {night, "2026-03-29T05:00:00Z", 1, 10},
		"the night after is as always":           {night, "2026-03-30T00:29:59Z", 1, 10},
		"the hour that comes twice":              {night, "2026-10-25T00:30:00Z", 5, 10},
		"midnight is skipped":                    {midnight, "2026-03-28T22:00:00Z", 5, 10},
		"midnight is skipped, over":              {midnight, "2026-03-28T22:30:00Z", 1, 10},
		"the day of the week is that of the gap": {sundays, "2026-03-29T01:05:00Z", 5, 10},
		"another day of the week":                {mondays, "2026-03-29T01:05:00Z", 1, 10},
		"over two changes of the clocks":         {long, "2026-11-20T00:00:00Z", 5, 10},
		"the ceiling wins":                       {overlap, "2026-01-10T12:00:00Z", 3, 3},
		"no schedules":                           {nil, "2026-01-10T12:00:00Z", 1, 10},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schedules, err := CompileSchedules(tt.schedules)
			if err != nil {
				t.Fatal(err)
			}
			now, err := time.Parse(time.RFC3339, tt.now)
			if err != nil {
				t.Fatal(err)
			}
			if lo, hi := Bounds(1, 10, schedules, now); lo != tt.lo || hi != tt.hi {
				t.Errorf("got [%d, %d], want [%d, %d]", lo, hi, tt.lo, tt.hi)
			}
		})
	}
}
