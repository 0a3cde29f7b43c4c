package chart

import (
	"image/color"
	"io"
	"math"
)

// canvas is what a chart is drawn on. Lengths are points, y goes down, angles are clockwise
// degrees.
type canvas interface {
	rect(x, y, w, h float64, c color.RGBA)
	line(points []Point, s stroke)
	text(at Point, what string, s style)
	encode(w io.Writer) error
}

type stroke struct {
	color color.RGBA
	width float64
	dash  []float64 // lengths of a dash and of the gap behind it; none: not dashed
}

type style struct {
	size   float64
	anchor anchor
	angle  float64
}

// anchor is the part of a text that stands at its point.
type anchor string

const (
	start  anchor = "start"
	middle anchor = "middle"
	end    anchor = "end"
)

const (
	titleSize = 12
	labelSize = 12
	tickSize  = 10

	edge = 8  // around everything
	gap  = 10 // between panels
	tick = 4  // the length of a tick

	// digit is the width of a digit of a tick's label, in most fonts.
	digit = 0.56 * tickSize
	// letter is the width of a usual letter of a bar's name. A wider font needs more.
	letter = 0.55 * tickSize
	// nameAngle is the slope of the names below bars.
	nameAngle = 60.0
	barWidth  = 5.0
)

var dashed = stroke{color: black, width: 1, dash: []float64{4, 3}}

// area is the part of the canvas between a panel's axes.
type area struct{ left, top, right, bottom float64 }

func (c *Chart) draw(out canvas) {
	out.rect(0, 0, c.Width, c.Height, white)
	areas := c.layout()
	if c.Title != "" {
		at := Point{(areas[0].left + areas[0].right) / 2, edge + titleSize}
		out.text(at, c.Title, style{titleSize, middle, 0})
	}
	for i := range c.Panels {
		c.Panels[i].draw(out, areas[i], c.xMax(), i == len(c.Panels)-1)
	}
	if c.XLabel != "" {
		last := areas[len(areas)-1]
		at := Point{(last.left + last.right) / 2, c.Height - edge}
		out.text(at, c.XLabel, style{labelSize, middle, 0})
	}
}

// layout divides the canvas among the panels. The vertical axes stand below each other.
func (c *Chart) layout() []area {
	longest := 0
	for _, p := range c.Panels {
		for _, v := range newAxis(p.yMax(), 0, 1, 4).ticks() {
			longest = max(longest, len(tickLabel(v)))
		}
	}
	left := edge + labelSize + gap + digit*float64(longest) + 2*tick
	top, bottom := float64(edge), c.Height-edge-tickSize-2*tick
	if c.Title != "" {
		top += titleSize + gap
	}
	if c.XLabel != "" {
		bottom -= labelSize + tick
	}
	right := c.Width - 2*edge
	if names := c.Panels[len(c.Panels)-1].Names; len(names) > 0 {
		longest := 0
		for _, name := range names {
			longest = max(longest, len(name))
		}
		sin, cos := math.Sincos(nameAngle * math.Pi / 180)
		bottom -= letter * float64(longest) * sin
		right -= letter * float64(len(names[len(names)-1])) * cos / 2
	}
	height := (bottom - top - gap*float64(len(c.Panels)-1)) / float64(len(c.Panels))
	areas := make([]area, len(c.Panels))
	for i := range areas {
		y := top + float64(i)*(height+gap)
		areas[i] = area{left, y, right, y + height}
	}
	return areas
}

// xMax is the end of the longest line.
func (c *Chart) xMax() float64 {
	most := 0.
	for _, p := range c.Panels {
		for _, l := range p.Lines {
			for _, point := range l.Points {
				most = max(most, point.X)
			}
		}
	}
	return most
}

func (p *Panel) yMax() float64 {
	most := max(p.YMax, p.Level)
	for _, l := range p.Lines {
		for _, point := range l.Points {
			most = max(most, point.Y)
		}
	}
	for _, b := range p.Bars {
		for _, v := range b.Values {
			most = max(most, v)
		}
	}
	if p.YLimit > 0 {
		most = min(most, p.YLimit)
	}
	return most
}

func (p *Panel) draw(out canvas, a area, xMax float64, last bool) {
	y := newAxis(p.yMax(), a.bottom, a.top, 4)
	grid, frame := stroke{color: gray, width: 0.5}, stroke{color: black, width: 0.5}
	for _, v := range y.ticks() {
		at := y.at(v)
		out.line([]Point{{a.left, at}, {a.right, at}}, grid)
		out.line([]Point{{a.left - tick, at}, {a.left, at}}, frame)
		out.text(Point{a.left - 2*tick, at + 0.35*tickSize}, tickLabel(v), style{tickSize, end, 0})
	}
	out.text(Point{edge + labelSize, (a.top + a.bottom) / 2}, p.Label, style{labelSize, middle, -90})
	if len(p.Names) > 0 {
		p.drawBars(out, a, y)
	} else {
		x := newAxis(xMax, a.left, a.right, 5)
		for _, v := range x.ticks() {
			at := x.at(v)
			out.line([]Point{{at, a.top}, {at, a.bottom}}, grid)
			if last {
				out.line([]Point{{at, a.bottom}, {at, a.bottom + tick}}, frame)
				out.text(Point{at, a.bottom + tick + tickSize}, tickLabel(v), style{tickSize, middle, 0})
			}
		}
		p.drawLines(out, x, y)
	}
	if p.Level > 0 && p.Level <= y.most {
		out.line([]Point{{a.left, y.at(p.Level)}, {a.right, y.at(p.Level)}}, dashed)
	}
	out.line([]Point{{a.left, a.top}, {a.left, a.bottom}, {a.right, a.bottom}}, frame)
	p.drawLegend(out, a)
}

func (p *Panel) drawLines(out canvas, x, y axis) {
	for i, l := range p.Lines {
		points := make([]Point, len(l.Points))
		for k, point := range l.Points {
			points[k] = Point{x.at(point.X), y.at(point.Y)}
		}
		out.line(points, stroke{color: colorOf(i), width: l.Width})
	}
}

func (p *Panel) drawBars(out canvas, a area, y axis) {
	width := (a.right - a.left) / float64(len(p.Names))
	for i, name := range p.Names {
		center := a.left + (float64(i)+0.5)*width
		for g, b := range p.Bars {
			x := center + barWidth*(float64(g)-float64(len(p.Bars))/2)
			out.rect(x, y.at(b.Values[i]), barWidth, a.bottom-y.at(b.Values[i]), colorOf(g))
		}
		out.text(Point{center - tick, a.bottom + tick + tickSize}, name, style{tickSize, start, nameAngle})
	}
}

// drawLegend writes the names at the panel's top. They begin or end beside their colors, so that a
// font that is wider than expected runs into free space.
func (p *Panel) drawLegend(out canvas, a area) {
	if p.Legend == NoLegend {
		return
	}
	names := make([]string, 0, len(p.Lines)+len(p.Bars))
	for _, l := range p.Lines {
		names = append(names, l.Name)
	}
	for _, b := range p.Bars {
		names = append(names, b.Name)
	}
	const swatch = 16.0
	for i, name := range names {
		y := a.top + labelSize*float64(i+1)
		x, text, anchored := a.left+edge, a.left+edge+swatch+tick, start
		if p.Legend == LegendRight {
			x, text, anchored = a.right-edge-swatch, a.right-edge-swatch-tick, end
		}
		out.rect(x, y-0.35*labelSize-1, swatch, 2, colorOf(i))
		out.text(Point{text, y}, name, style{tickSize, anchored, 0})
	}
}
