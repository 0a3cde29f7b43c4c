package play

import (
	"fmt"

	"github.com/gearman-operator/gearman-operator/internal/chart"
)

// picture draws the samples: queued jobs, running jobs, and pods.
func (w *watch) picture(file string, o Options) error {
	line := func(name string, value func(sample) int) chart.Line {
		l := chart.Line{Name: name, Width: 1.5}
		for _, s := range w.samples {
			l.Points = append(l.Points, chart.Point{X: s.at.Round(every / 20).Seconds(), Y: float64(value(s))})
		}
		return l
	}
	const width, height = 567, 425 // points
	c := chart.Chart{
		Title: fmt.Sprintf("%d jobs of %v to %v", o.Jobs, o.Shortest, o.Longest), XLabel: "time (s)",
		Width: width, Height: height,
		Panels: []chart.Panel{
			{Label: "jobs queued", Lines: []chart.Line{line("queued", func(s sample) int { return s.queued })}},
			{Label: "jobs running", Lines: []chart.Line{line("running", func(s sample) int { return s.running })}},
			{
				Label: "pods", Legend: chart.LegendRight,
				Lines: []chart.Line{
					line("wanted", func(s sample) int { return s.replicas }),
					line("ready", func(s sample) int { return s.ready }),
				},
			},
		},
	}
	return c.Write(file)
}
