package diagnosis

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// Severity orders problems: the most severe first.
type Severity int

// The severities.
const (
	Info     Severity = iota // works as configured, but the setting may have been forgotten
	Warning                  // works, but worse than it could
	Critical                 // jobs are not processed, or the pool doesn't scale
)

// String returns the severity in lower case.
func (s Severity) String() string { return [...]string{"info", "warning", "critical"}[s] }

// MarshalText makes JSON and YAML show the severity by name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Problem is one thing that is wrong with a pool.
type Problem struct {
	Severity Severity `json:"severity"`
	// Condition and Reason name the condition that reports the problem.
	Condition string `json:"condition"`
	Reason    string `json:"reason"`
	// Title is the problem in one line. Why is the condition's own message, possibly empty.
	Title string `json:"title"`
	Why   string `json:"why,omitempty"`
	// Try lists what to do, most likely first. Lines that start with "kubectl " are commands.
	Try []string `json:"try,omitempty"`
	// Since is when the condition changed to its present status.
	Since metav1.Time `json:"since,omitzero"`
}

// Of returns the problems of a pool, the most severe first. It returns none for a pool that works.
func Of(pool *v1alpha1.GearmanWorkerPool) []Problem {
	var out []Problem
	for _, c := range pool.Status.Conditions {
		a, ok := adviceFor(c)
		if !ok || a.only != nil && !a.only(pool) {
			continue
		}
		out = append(out, Problem{
			Severity: a.severity, Condition: c.Type, Reason: c.Reason, Title: a.title, Why: c.Message,
			Try: fill(a.try, pool), Since: c.LastTransitionTime,
		})
	}
	slices.SortStableFunc(out, func(a, b Problem) int { return int(b.Severity - a.Severity) })
	return withoutEchoes(out)
}

// New returns the problems that conditions report after a change and did not report before:
// warnings and worse, each cause once.
func New(before, after []metav1.Condition) []Problem {
	known := map[key]bool{}
	for i := range before {
		if c := &before[i]; Unhealthy(c) {
			known[key{c.Type, c.Reason}] = true
		}
	}
	problems := Of(&v1alpha1.GearmanWorkerPool{Status: v1alpha1.GearmanWorkerPoolStatus{Conditions: after}})
	return slices.DeleteFunc(problems, func(p Problem) bool {
		return p.Severity < Warning || known[key{p.Condition, p.Reason}]
	})
}

// Worst returns the most severe problem of a pool, if there is one.
func Worst(pool *v1alpha1.GearmanWorkerPool) (Problem, bool) {
	problems := Of(pool)
	if len(problems) == 0 {
		return Problem{}, false
	}
	return problems[0], true
}

// withoutEchoes drops conditions that repeat the reason of another one: Ready, Stalled and
// ScalingActive often share it. Ready repeats the others' reasons, so it goes before them.
func withoutEchoes(problems []Problem) []Problem {
	byOthers := map[string]bool{}
	for _, p := range problems {
		byOthers[p.Reason] = byOthers[p.Reason] || p.Condition != v1alpha1.ConditionReady
	}
	told := map[string]bool{}
	return slices.DeleteFunc(problems, func(p Problem) bool {
		echo := told[p.Reason] || p.Condition == v1alpha1.ConditionReady && byOthers[p.Reason]
		told[p.Reason] = told[p.Reason] || !echo
		return echo
	})
}

// fill replaces the placeholders of advice.
func fill(try []string, pool *v1alpha1.GearmanWorkerPool) []string {
	r := strings.NewReplacer("POOL", pool.Name, "NAMESPACE", pool.Namespace)
	out := make([]string, len(try))
	for i, line := range try {
		out[i] = r.Replace(line)
	}
	return out
}
