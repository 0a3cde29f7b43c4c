package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image/color"
	"io"
	"math"
	"strconv"
	"strings"
)

// svg is a canvas of vectors.
type svg struct{ b bytes.Buffer }

func newSVG(width, height float64) *svg {
	s := &svg{}
	fmt.Fprintf(
		&s.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]spt" height="%[2]spt" viewBox="0 0 %[1]s %[2]s"`+
			` font-family="'Liberation Sans',Arial,Helvetica,sans-serif">`+"\n", number(width), number(height),
	)
	return s
}

// number has two decimals at most: more can't be seen.
func number(v float64) string { return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) }

func hex(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

func (s *svg) rect(x, y, w, h float64, c color.RGBA) {
	fmt.Fprintf(
		&s.b, `<rect x="%s" y="%s" width="%s" height="%s" fill="%s"/>`+"\n", number(x), number(y), number(w),
		number(h), hex(c),
	)
}

func (s *svg) line(points []Point, k stroke) {
	var at strings.Builder
	for i, p := range points {
		if i > 0 {
			at.WriteByte(' ')
		}
		at.WriteString(number(p.X) + "," + number(p.Y))
	}
	dash := ""
	if len(k.dash) > 0 {
		dash = fmt.Sprintf(` stroke-dasharray="%s %s"`, number(k.dash[0]), number(k.dash[1]))
	}
	fmt.Fprintf(
		&s.b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="%s"%s/>`+"\n", at.String(), hex(k.color),
		number(k.width), dash,
	)
}

func (s *svg) text(at Point, what string, t style) {
	turn := ""
	if t.angle != 0 {
		turn = fmt.Sprintf(` transform="rotate(%s %s %s)"`, number(t.angle), number(at.X), number(at.Y))
	}
	fmt.Fprintf(
		&s.b, `<text x="%s" y="%s" font-size="%s" text-anchor="%s"%s>`, number(at.X), number(at.Y), number(t.size),
		t.anchor, turn,
	)
	_ = xml.EscapeText(&s.b, []byte(what)) // a buffer takes everything
	s.b.WriteString("</text>\n")
}

func (s *svg) encode(w io.Writer) error {
	s.b.WriteString("</svg>\n")
	_, err := s.b.WriteTo(w)
	return err
}
