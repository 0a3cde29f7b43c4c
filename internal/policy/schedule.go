package policy

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// Schedule is a compiled schedule.
type Schedule struct {
	name     string
	start    cron.Schedule
	location *time.Location
	duration time.Duration
	min, max *int32
}

// CompileSchedules parses a pool's schedules. The error names the schedule and what is wrong with
// it.
func CompileSchedules(specs []v1alpha1.Schedule) ([]Schedule, error) {
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	out := make([]Schedule, 0, len(specs))
	for _, s := range specs {
		// The parser accepts a zone in the expression too; one place for it is enough.
		if strings.Contains(s.Start, "TZ=") {
			return nil, fmt.Errorf("schedule %q: put the time zone into timeZone, not into start", s.Name)
		}
		sched, err := parser.Parse(s.Start)
		if err != nil {
			return nil, fmt.Errorf(
				"schedule %q: start %q is not a cron expression of five fields: %w", s.Name, s.Start, err,
			)
		}
		zone := s.TimeZone
		if zone == "" {
			zone = "UTC"
		}
		// "Local" would be the time zone of the operator's container.
		if zone == "Local" {
			return nil, fmt.Errorf(
				"schedule %q: timeZone must be a name of the IANA database such as Europe/Berlin, not Local", s.Name,
			)
		}
		loc, err := time.LoadLocation(zone)
		if err != nil {
			return nil, fmt.Errorf(
				"schedule %q: timeZone %q is not a name of the IANA database such as Europe/Berlin: %w", s.Name,
				s.TimeZone, err,
			)
		}
		out = append(out, Schedule{
			name: s.Name, start: sched, location: loc, duration: time.Duration(s.DurationSeconds) * time.Second,
			min: s.MinReplicas, max: s.MaxReplicas,
		})
	}
	return out, nil
}

// Active reports whether the schedule is in force at now: whether one of its starts lies in
// (now-duration, now].
func (s Schedule) Active(now time.Time) bool {
	after := now.In(s.location).Add(-s.duration)
	next := s.start.Next(after)
	return !next.IsZero() && !next.After(now) || s.startSkipped(after, now)
}

// startSkipped reports whether a start falls into the gap that the clocks skip in (after, now], as
// when daylight saving begins. No such local time exists, so the cron expression never matches it;
// the schedule starts when the clocks have moved, at the end of the gap.
func (s Schedule) startSkipped(after, now time.Time) bool {
	for {
		_, change := after.ZoneBounds()
		if change.IsZero() || change.After(now) {
			return false
		}
		_, before := change.Add(-time.Nanosecond).Zone()
		_, since := change.Zone()
		if gap := time.Duration(since-before) * time.Second; gap > 0 {
			// As if the clocks had not moved yet, the gap's local times exist.
			unmoved := change.In(time.FixedZone("", before))
			if start := s.start.Next(unmoved.Add(-time.Nanosecond)); !start.IsZero() && start.Before(unmoved.Add(gap)) {
				return true
			}
		}
		after = change
	}
}

// Bounds returns the least and the greatest number of replicas at now: each active schedule raises
// the floor to its minReplicas and lowers the ceiling to its maxReplicas; if they cross, the
// ceiling wins.
func Bounds(minReplicas, maxReplicas int32, schedules []Schedule, now time.Time) (lo, hi int32) {
	lo, hi = minReplicas, maxReplicas
	for _, s := range schedules {
		if !s.Active(now) {
			continue
		}
		if s.min != nil {
			lo = max(lo, *s.min)
		}
		if s.max != nil {
			hi = min(hi, *s.max)
		}
	}
	return min(lo, hi), hi
}
