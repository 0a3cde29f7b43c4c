package play

import (
	"fmt"

	"github.com/gearman-operator/gearman-operator/internal/sim/report"
)

// picture draws the samples: what was queued, what ran, and how many pods there were.
func (w *watch) picture(file string, o Options) error {
	line := func(name string, value func(sample) int) report.Line {
		l := report.Line{Name: name}
		for _, s := range w.samples {
			l.Points = append(l.Points, [2]float64{s.at.Round(every / 20).Seconds(), float64(value(s))})
		}
		return l
	}
	return report.LinesPlot(file, fmt.Sprintf("%d jobs of %v to %v", o.Jobs, o.Shortest, o.Longest), []report.Panel{
		{Label: "jobs queued", Lines: []report.Line{line("queued", func(s sample) int { return s.queued })}},
		{Label: "jobs running", Lines: []report.Line{line("running", func(s sample) int { return s.running })}},
		{Label: "pods", Lines: []report.Line{
			line("wanted", func(s sample) int { return s.replicas }),
			line("ready", func(s sample) int { return s.ready }),
		}},
	})
}
