package chart

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
)

// Chart is one or more panels below each other, which share the horizontal axis.
type Chart struct {
	Title         string
	XLabel        string
	Width, Height float64 // in points
	Panels        []Panel
}

// Panel is one plot: lines, or groups of bars.
type Panel struct {
	Label  string  // of the vertical axis
	YMax   float64 // the least that the vertical axis reaches, or zero
	YLimit float64 // the most that it reaches, or zero: higher values are cut off
	Lines  []Line

	// Bars are drawn over Names, one bar of each group for each name. A panel has lines or bars.
	Names []string
	Bars  []Bars
	Level float64 // a dashed line across the panel, or zero

	Legend Legend
}

// Legend is where a panel's names stand.
type Legend int

// The places of a legend.
const (
	NoLegend Legend = iota
	LegendLeft
	LegendRight
)

// Line is a named line of points.
type Line struct {
	Name   string
	Width  float64
	Points []Point
}

// Point is one point of a line, in the units of the axes.
type Point struct{ X, Y float64 }

// Bars are one value for each name of a panel. A value of zero draws nothing.
type Bars struct {
	Name   string
	Values []float64
}

// Colors that also differ for color-blind readers (Okabe and Ito).
var colors = []color.RGBA{
	{0, 114, 178, 255},
	{213, 94, 0, 255},
	{0, 158, 115, 255},
	{204, 121, 167, 255},
	{230, 159, 0, 255},
	{86, 180, 233, 255},
}

var (
	black = color.RGBA{A: 255}
	gray  = color.RGBA{208, 208, 208, 255}
	white = color.RGBA{255, 255, 255, 255}
)

func colorOf(n int) color.RGBA { return colors[n%len(colors)] }

// Write draws the chart into an SVG or PNG file, by its name.
func (c *Chart) Write(file string) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	var out canvas
	switch filepath.Ext(file) {
	case ".svg":
		out = newSVG(c.Width, c.Height)
	case ".png":
		var err error
		if out, err = newRaster(c.Width, c.Height); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	default:
		return fmt.Errorf("%s: only .svg and .png can be drawn", file)
	}
	c.draw(out)
	var data bytes.Buffer
	if err := out.encode(&data); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // everybody may read a chart
		return err
	}
	return os.WriteFile(file, data.Bytes(), 0o644) //nolint:gosec // everybody may read a chart
}

// check rejects what can't be drawn.
func (c *Chart) check() error {
	if len(c.Panels) == 0 {
		return errors.New("there is nothing to draw")
	}
	for _, p := range c.Panels {
		for _, l := range p.Lines {
			if len(l.Points) == 0 {
				return fmt.Errorf("%s has no points", l.Name)
			}
			for _, point := range l.Points {
				if !finite(point.X) || !finite(point.Y) {
					return fmt.Errorf("%s has a point that is not a number: %v", l.Name, point)
				}
			}
		}
		for _, b := range p.Bars {
			if len(b.Values) != len(p.Names) {
				return fmt.Errorf("%s has %d values for %d names", b.Name, len(b.Values), len(p.Names))
			}
			for _, v := range b.Values {
				if !finite(v) {
					return fmt.Errorf("%s has a value that is not a number", b.Name)
				}
			}
		}
	}
	return nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
