package kubectlgearman

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/gearman-operator/gearman-operator/internal/cli"
	"github.com/gearman-operator/gearman-operator/internal/poolrow"
)

// writeAges prints the age of doctor's data: of the statuses and, if the operator was queried, of
// the job servers' answers.
func (e *examination) writeAges(p *printer) {
	if len(e.pools) == 0 {
		return
	}
	p.line("\nAge of what follows:")
	p.line("  statuses of the pools: %s", e.statusAges())
	if e.rows == nil {
		p.line("  answers of the job servers: see --operator-namespace, or `kubectl gearman top`")
		return
	}
	p.line("  answers of the job servers: %s", answerAges(e.rows))
	for _, s := range longestSilent(e.rows) {
		p.line("  %s", silence(s))
	}
}

// statusAges returns when the newest and the oldest status were written.
func (e *examination) statusAges() string {
	var ages []time.Duration
	for i := range e.pools {
		if at := statusWritten(&e.pools[i]); !at.IsZero() {
			ages = append(ages, max(0, e.now.Sub(at)))
		}
	}
	if len(ages) == 0 {
		return "unknown; the API server does not report when they were written"
	}
	return fmt.Sprintf("written %s ago; the operator writes one when it changes, figures at most once a minute",
		span(slices.Min(ages), slices.Max(ages), duration.HumanDuration))
}

// answerAges returns the ages of the newest answers of the pools' job servers.
func answerAges(rows []poolrow.Row) string {
	var ages []float64
	for i := range rows {
		if age := rows[i].FiguresAgeSeconds; age != nil {
			ages = append(ages, *age)
		}
	}
	if len(ages) == 0 {
		return "no job server has answered yet"
	}
	text := span(slices.Min(ages), slices.Max(ages), seconds) + " old"
	if n := len(rows) - len(ages); n > 0 {
		text += fmt.Sprintf("; %d of %d pools have no answer yet", n, len(rows))
	}
	return text
}

// longestSilent are the job servers whose last poll failed, each once with its oldest answer.
func longestSilent(rows []poolrow.Row) []poolrow.Silent {
	byServer := map[string]poolrow.Silent{}
	for i := range rows {
		for _, s := range rows[i].Silent {
			if known, ok := byServer[s.Server]; !ok || answered(s) > answered(known) {
				byServer[s.Server] = s
			}
		}
	}
	out := make([]poolrow.Silent, 0, len(byServer))
	for _, server := range slices.Sorted(maps.Keys(byServer)) {
		out = append(out, byServer[server])
	}
	return out
}

// answered describes how long ago a job server answered.
func answered(s poolrow.Silent) float64 {
	if s.AnswerAgeSeconds == nil {
		return math.Inf(1)
	}
	return *s.AnswerAgeSeconds
}

// silence describes how long a job server has not answered, and why.
func silence(s poolrow.Silent) string {
	since := "has never answered"
	if age := s.AnswerAgeSeconds; age != nil {
		since = "last answered " + seconds(*age) + " ago"
	}
	return fmt.Sprintf("%s %s (%s)", cli.Printable(s.Server), since, cli.Printable(s.State))
}

// span formats a range of ages, or a single one.
func span[T any](from, to T, show func(T) string) string {
	if a, b := show(from), show(to); a != b {
		return a + " to " + b
	}
	return show(from)
}
