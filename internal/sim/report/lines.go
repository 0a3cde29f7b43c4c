package report

import (
	"fmt"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// Panel is one of several plots over the same time, one above the other.
type Panel struct {
	Label string
	Lines []Line
}

// Line is a named line of points (seconds, value).
type Line struct {
	Name   string
	Points [][2]float64
}

// LinesPlot draws panels of lines over time in seconds into an SVG or PNG file, by its name. A
// panel of several lines has a legend.
func LinesPlot(file, title string, panels []Panel) error {
	if len(panels) == 0 {
		return fmt.Errorf("%s: there is nothing to draw", file)
	}
	rows := make([][]*plot.Plot, len(panels))
	for i, panel := range panels {
		p := newPlot()
		p.Y.Label.Text = panel.Label
		p.Add(plotter.NewGrid())
		for k, l := range panel.Lines {
			if len(l.Points) == 0 {
				return fmt.Errorf("%s: %s has no points", file, l.Name)
			}
			xy := make(plotter.XYs, len(l.Points))
			for j, point := range l.Points {
				xy[j].X, xy[j].Y = point[0], point[1]
			}
			line, err := plotter.NewLine(xy)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", file, l.Name, err)
			}
			line.Color, line.Width = colours[k%len(colours)], vg.Points(1.5)
			p.Add(line)
			if len(panel.Lines) > 1 {
				p.Legend.Add(l.Name+gap, line)
				p.Legend.Top = true
			}
		}
		p.X.Min, p.Y.Min = 0, 0
		rows[i] = []*plot.Plot{p}
	}
	rows[0][0].Title.Text = title
	rows[len(rows)-1][0].X.Label.Text = "time (s)"
	return save(file, 20*vg.Centimeter, vg.Length(len(panels))*5*vg.Centimeter, rows)
}
