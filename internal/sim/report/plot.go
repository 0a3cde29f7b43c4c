package report

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/gearman-operator/gearman-operator/internal/sim"
)

// Series is what one law did over a run.
type Series struct {
	Law    string
	Points []sim.Point
}

// maxPlotted bounds the points of a line: more are not to be seen, and make the file large.
const maxPlotted = 240

// Colours that also differ for the colour-blind (Okabe and Ito), ours first.
var colours = []color.RGBA{
	{0, 114, 178, 255},
	{213, 94, 0, 255},
	{0, 158, 115, 255},
	{204, 121, 167, 255},
	{230, 159, 0, 255},
	{86, 180, 233, 255},
}

// RunPlot draws queue, oldest wait and replicas of each law, one above the other, and the target
// wait as a dashed line.
func RunPlot(file, title string, series []Series, target float64) error {
	panels := []struct {
		label string
		value func(p sim.Point) float64
	}{
		{"jobs queued", func(p sim.Point) float64 { return float64(p.Queued) }},
		{"oldest wait (s)", func(p sim.Point) float64 { return p.OldestWait }},
		{"replicas", func(p sim.Point) float64 { return float64(p.Replicas) }},
	}
	rows := make([][]*plot.Plot, len(panels))
	for i, panel := range panels {
		p := newPlot()
		p.Y.Label.Text = panel.label
		p.X.Min, p.Y.Min = 0, 0
		p.Add(plotter.NewGrid())
		end := 0.
		for k, s := range series {
			if len(s.Points) == 0 {
				continue
			}
			line, err := plotter.NewLine(thin(s.Points, panel.value))
			if err != nil {
				return err
			}
			line.Color, line.Width = colours[k%len(colours)], vg.Points(1)
			if k == 0 {
				line.Width = vg.Points(2)
			}
			p.Add(line)
			if i == 0 {
				p.Legend.Add(s.Law+gap, line)
			}
			end = max(end, s.Points[len(s.Points)-1].At)
		}
		switch i {
		case 0:
			p.Title.Text = title
			p.Legend.Top, p.Legend.Left = true, true
		case 1:
			line, err := plotter.NewLine(plotter.XYs{{X: 0, Y: target}, {X: end, Y: target}})
			if err != nil {
				return err
			}
			line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
			p.Add(line)
			// A law far off the target must not press the others to the ground.
			p.Y.Max = min(max(p.Y.Max, 1.2*target), 4*target)
		default:
			p.X.Label.Text = "time (s)"
		}
		rows[i] = []*plot.Plot{p}
	}
	return save(file, 20*vg.Centimeter, 18*vg.Centimeter, rows)
}

// thin takes at most maxPlotted points, of each stretch the largest value, so that no peak is lost.
func thin(points []sim.Point, value func(sim.Point) float64) plotter.XYs {
	step := (len(points) + maxPlotted - 1) / maxPlotted
	var xy plotter.XYs
	for i := 0; i < len(points); i += step {
		best := points[i]
		for _, p := range points[i:min(i+step, len(points))] {
			if value(p) > value(best) {
				best = p
			}
		}
		xy = append(xy, plotter.XY{X: math.Round(best.At), Y: math.Round(value(best)*10) / 10})
	}
	return xy
}

// BarPlot draws one group of bars for each name; a value of 0 draws nothing. The dashed line is at
// 1.
func BarPlot(file, title, label string, names, groups []string, values [][]float64) error {
	p := newPlot()
	p.Title.Text, p.Y.Label.Text = title, label
	p.Y.Min = 0
	width := vg.Points(5)
	for g, group := range groups {
		bars, err := plotter.NewBarChart(plotter.Values(values[g]), width)
		if err != nil {
			return err
		}
		bars.Color, bars.LineStyle.Width = colours[g%len(colours)], 0
		bars.Offset = width * vg.Length(float64(g)-float64(len(groups)-1)/2)
		p.Add(bars)
		p.Legend.Add(group+gap, bars)
	}
	line, err := plotter.NewLine(plotter.XYs{{X: -0.5, Y: 1}, {X: float64(len(names)) - 0.5, Y: 1}})
	if err != nil {
		return err
	}
	line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
	p.Add(line)
	p.Y.Max = max(p.Y.Max, 1.5) // room for the legend
	// An SVG's reader may have a wider font than the one that the text was measured with: all text
	// begins where it must not overlap, and ends in free space.
	p.Legend.Top, p.Legend.Left = true, true
	p.NominalX(names...)
	p.X.Tick.Label.Rotation = -math.Pi / 3
	p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XLeft, draw.YCenter
	return save(file, 24*vg.Centimeter, 13*vg.Centimeter, [][]*plot.Plot{{p}})
}

// save draws the plots below each other into an SVG or PNG file, by its name.
func save(file string, width, height vg.Length, rows [][]*plot.Plot) error {
	var canvas vg.CanvasSizer
	var out io.WriterTo
	switch filepath.Ext(file) {
	case ".svg":
		c := vgsvg.New(width, height)
		canvas, out = c, svg{c}
	case ".png":
		c := vgimg.PngCanvas{Canvas: vgimg.New(width, height)}
		canvas, out = c, c
	default:
		return fmt.Errorf("%s: only .svg and .png can be drawn", file)
	}
	dc := draw.New(canvas)
	tiles := draw.Tiles{
		Rows: len(rows), Cols: 1, PadY: vg.Points(6), PadRight: vg.Points(10), PadTop: vg.Points(4),
		PadBottom: vg.Points(4), PadLeft: vg.Points(4),
	}
	for i, row := range plot.Align(rows, tiles, dc) {
		rows[i][0].Draw(row[0])
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := out.WriteTo(f); err != nil {
		f.Close()
		return fmt.Errorf("%s: %w", file, err)
	}
	return f.Close()
}
