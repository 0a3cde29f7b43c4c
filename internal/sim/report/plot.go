package report

import (
	"math"

	"github.com/gearman-operator/gearman-operator/internal/chart"
	"github.com/gearman-operator/gearman-operator/internal/sim"
)

// Series is the course of one law over a run.
type Series struct {
	Law    string
	Points []sim.Point
}

// maxPlotted bounds the points of a line: more can't be seen, and make the file large.
const maxPlotted = 240

const centimeter = 72 / 2.54 // in points

// RunPlot draws queue, oldest wait and replicas of each law, one above the other, and the target
// wait as a dashed line.
func RunPlot(file, title string, series []Series, target float64) error {
	panel := func(label string, value func(p sim.Point) float64) chart.Panel {
		p := chart.Panel{Label: label}
		for i, s := range series {
			if len(s.Points) == 0 {
				continue
			}
			width := 1.
			if i == 0 {
				width = 2
			}
			p.Lines = append(p.Lines, chart.Line{Name: s.Law, Width: width, Points: thin(s.Points, value)})
		}
		return p
	}
	queued := panel("jobs queued", func(p sim.Point) float64 { return float64(p.Queued) })
	queued.Legend = chart.LegendLeft
	wait := panel("oldest wait (s)", func(p sim.Point) float64 { return p.OldestWait })
	// A law that is far off the target must not flatten the lines of the others.
	wait.Level, wait.YMax, wait.YLimit = target, 1.2*target, 4*target
	replicas := panel("replicas", func(p sim.Point) float64 { return float64(p.Replicas) })
	c := chart.Chart{
		Title: title, XLabel: "time (s)", Width: 20 * centimeter, Height: 18 * centimeter,
		Panels: []chart.Panel{queued, wait, replicas},
	}
	return c.Write(file)
}

// thin returns at most maxPlotted points: the largest value of each stretch, so that no peak is
// lost.
func thin(points []sim.Point, value func(sim.Point) float64) (thinned []chart.Point) {
	step := (len(points) + maxPlotted - 1) / maxPlotted
	for i := 0; i < len(points); i += step {
		best := points[i]
		for _, p := range points[i:min(i+step, len(points))] {
			if value(p) > value(best) {
				best = p
			}
		}
		thinned = append(thinned, chart.Point{X: math.Round(best.At), Y: math.Round(value(best)*10) / 10})
	}
	return thinned
}

// BarPlot draws one group of bars for each name; a value of 0 draws nothing. The dashed line is at
// 1.
func BarPlot(file, title, label string, names, groups []string, values [][]float64) error {
	p := chart.Panel{Label: label, Names: names, Level: 1, Legend: chart.LegendLeft}
	p.YMax = 1.5 // room for the legend
	for i, group := range groups {
		p.Bars = append(p.Bars, chart.Bars{Name: group, Values: values[i]})
	}
	c := chart.Chart{Title: title, Width: 24 * centimeter, Height: 13 * centimeter, Panels: []chart.Panel{p}}
	return c.Write(file)
}
