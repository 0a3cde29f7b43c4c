package chart

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/f64"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// perPoint is how many pixels a point has: 96 in an inch.
const perPoint = 96.0 / 72

// raster is a canvas of pixels.
type raster struct {
	img   *image.RGBA
	faces map[float64]font.Face // by the size of the text
}

func newRaster(width, height float64) (*raster, error) {
	parsed, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, fmt.Errorf("the font: %w", err)
	}
	r := &raster{
		img:   image.NewRGBA(image.Rect(0, 0, int(math.Ceil(width*perPoint)), int(math.Ceil(height*perPoint)))),
		faces: map[float64]font.Face{},
	}
	for _, size := range []float64{titleSize, labelSize, tickSize} {
		o := &opentype.FaceOptions{Size: size, DPI: 72 * perPoint, Hinting: font.HintingFull}
		if r.faces[size], err = opentype.NewFace(parsed, o); err != nil {
			return nil, fmt.Errorf("the font: %w", err)
		}
	}
	return r, nil
}

// fill fills polygons, all of which turn the same way.
func (r *raster) fill(c color.RGBA, polygons ...[]Point) {
	size := r.img.Bounds().Size()
	z := vector.NewRasterizer(size.X, size.Y)
	for _, polygon := range polygons {
		for i, p := range polygon {
			x, y := float32(p.X*perPoint), float32(p.Y*perPoint)
			if i == 0 {
				z.MoveTo(x, y)
			} else {
				z.LineTo(x, y)
			}
		}
		z.ClosePath()
	}
	z.Draw(r.img, r.img.Bounds(), image.NewUniform(c), image.Point{})
}

func (r *raster) rect(x, y, w, h float64, c color.RGBA) {
	r.fill(c, []Point{{x, y}, {x + w, y}, {x + w, y + h}, {x, y + h}})
}

func (r *raster) line(points []Point, k stroke) {
	pieces := dashes(points, k.dash)
	quads := make([][]Point, 0, len(pieces))
	for _, piece := range pieces {
		quads = append(quads, quad(piece[0], piece[1], k.width))
	}
	r.fill(k.color, quads...)
}

// quad is a piece of a line as a polygon, which is half a width longer at both ends, so that pieces
// meet without a notch.
func quad(a, b Point, width float64) []Point {
	dx, dy := b.X-a.X, b.Y-a.Y
	length := math.Hypot(dx, dy)
	if length == 0 {
		dx, length = 1, 1
	}
	dx, dy = dx/length*width/2, dy/length*width/2
	return []Point{
		{a.X - dx - dy, a.Y - dy + dx},
		{b.X + dx - dy, b.Y + dy + dx},
		{b.X + dx + dy, b.Y + dy - dx},
		{a.X - dx + dy, a.Y - dy - dx},
	}
}

// dashes cuts a line into its visible pieces. The pattern is two lengths, or none.
func dashes(points []Point, pattern []float64) (pieces [][2]Point) {
	drawn, left := true, math.Inf(1)
	if len(pattern) > 0 {
		left = pattern[0]
	}
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		for {
			length := math.Hypot(b.X-a.X, b.Y-a.Y)
			if length <= left {
				if drawn {
					pieces = append(pieces, [2]Point{a, b})
				}
				left -= length
				break
			}
			cut := Point{a.X + (b.X-a.X)*left/length, a.Y + (b.Y-a.Y)*left/length}
			if drawn {
				pieces = append(pieces, [2]Point{a, cut})
			}
			a, drawn = cut, !drawn
			left = pattern[1]
			if drawn {
				left = pattern[0]
			}
		}
	}
	return pieces
}

// text draws the text upright into a mask, and the mask turned onto the picture.
func (r *raster) text(at Point, what string, t style) {
	face := r.faces[t.size]
	width, ascent := font.MeasureString(face, what).Ceil(), face.Metrics().Ascent.Ceil()
	mask := image.NewRGBA(image.Rect(0, 0, width+1, ascent+face.Metrics().Descent.Ceil()+1))
	d := font.Drawer{Dst: mask, Src: image.NewUniform(black), Face: face, Dot: fixed.P(0, ascent)}
	d.DrawString(what)
	shift := map[anchor]float64{start: 0, middle: float64(width) / 2, end: float64(width)}[t.anchor]
	sin, cos := math.Sincos(t.angle * math.Pi / 180)
	// The point (shift, ascent) of the mask comes to stand at the text's point.
	x := at.X*perPoint - cos*shift + sin*float64(ascent)
	y := at.Y*perPoint - sin*shift - cos*float64(ascent)
	if t.angle == 0 {
		x, y = math.Round(x), math.Round(y) // sharp
	}
	draw.BiLinear.Transform(r.img, f64.Aff3{cos, -sin, x, sin, cos, y}, mask, mask.Bounds(), draw.Over, nil)
}

func (r *raster) encode(w io.Writer) error { return png.Encode(w, r.img) }
