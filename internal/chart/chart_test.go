package chart

import (
	"encoding/xml"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample has two panels of lines: one without, one with a legend.
func sample() *Chart {
	points := []Point{{0, 0}, {2, 500}, {40, 0}}
	return &Chart{
		Title: "a <demo> & more", XLabel: "time (s)", Width: 400, Height: 300,
		Panels: []Panel{
			{Label: "jobs queued", Lines: []Line{{Name: "queued", Width: 2, Points: points}}},
			{
				Label: "pods", Level: 100, Legend: LegendRight,
				Lines: []Line{{Name: "wanted", Width: 1, Points: points}, {Name: "ready", Width: 1, Points: points}},
			},
		},
	}
}

func sampleBars() *Chart {
	return &Chart{
		Title: "ratios", Width: 400, Height: 300,
		Panels: []Panel{{
			Label: "ratio", Names: []string{"steady", "two words"}, Level: 1, YMax: 1.5, Legend: LegendLeft,
			Bars: []Bars{{Name: "ours", Values: []float64{0.5, 1.25}}, {Name: "theirs", Values: []float64{1, 0}}},
		}},
	}
}

// texts reads an SVG file to its end and returns the texts in it.
func texts(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	inText := false
	for d := xml.NewDecoder(f); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%s is no SVG: %v", file, err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			inText = e.Name.Local == "text"
		case xml.CharData:
			if inText {
				out = append(out, string(e))
			}
		case xml.EndElement:
			inText = false
		}
	}
}

func TestSVG(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		chart *Chart
		want  []string
	}{
		"lines": {sample(), []string{
			"a <demo> & more", "0", "200", "400", "jobs queued",
			"0", "200", "400", "pods", "0", "10", "20", "30", "40", "wanted", "ready", "time (s)",
		}},
		"bars": {sampleBars(), []string{
			"ratios", "0", "0.5", "1", "1.5", "ratio", "steady", "two words", "ours", "theirs",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "new", "chart.svg")
			if err := tt.chart.Write(file); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, texts(t, file)); diff != "" {
				t.Errorf("texts (-want +got):\n%s", diff)
			}
		})
	}
}

// count returns how many pixels have a color.
func count(img image.Image, c color.RGBA) (n int) {
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if color.RGBAModel.Convert(img.At(x, y)) == c {
				n++
			}
		}
	}
	return n
}

func TestPNG(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*Chart{"lines": sample(), "bars": sampleBars()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "chart.png")
			if err := c.Write(file); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			img, err := png.Decode(f)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := img.Bounds().Size(), image.Pt(534, 400); got != want {
				t.Errorf("the picture is %v, want %v", got, want)
			}
			for _, c := range []color.RGBA{white, colorOf(0), colorOf(1)} {
				if count(img, c) < 20 {
					t.Errorf("%d pixels have the color %v", count(img, c), c)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := filepath.Join(dir, "file")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	line := func(points ...Point) *Chart {
		return &Chart{Panels: []Panel{{Lines: []Line{{Name: "wait", Points: points}}}}}
	}
	bars := func(values ...float64) *Chart {
		return &Chart{Panels: []Panel{{Names: []string{"a"}, Bars: []Bars{{Name: "ours", Values: values}}}}}
	}
	for name, tt := range map[string]struct {
		file  string
		chart *Chart
		want  string
	}{
		"nothing":        {"a.svg", &Chart{}, "nothing to draw"},
		"no points":      {"a.svg", line(), "wait has no points"},
		"not a number":   {"a.svg", line(Point{0, math.NaN()}), "not a number"},
		"infinite":       {"a.svg", line(Point{math.Inf(1), 0}), "not a number"},
		"bars short":     {"a.svg", bars(), "ours has 0 values for 1 names"},
		"bars infinite":  {"a.svg", bars(math.Inf(1)), "not a number"},
		"another format": {"a.gif", sample(), "only .svg and .png"},
		"below a file":   {"file/a.svg", sample(), "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tt.chart.Write(filepath.Join(dir, tt.file))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestTicks(t *testing.T) {
	t.Parallel()
	for most, want := range map[float64][]float64{
		0:    {0, 0.25, 0.5, 0.75, 1},
		1:    {0, 0.25, 0.5, 0.75, 1},
		7:    {0, 2, 4, 6},
		120:  {0, 50, 100},
		3600: {0, 1000, 2000, 3000},
	} {
		if diff := cmp.Diff(want, newAxis(most, 0, 1, 4).ticks()); diff != "" {
			t.Errorf("up to %g (-want +got):\n%s", most, diff)
		}
	}
}

// A value above the axis is drawn at its end.
func TestAxisIsCutOff(t *testing.T) {
	t.Parallel()
	a := newAxis(10, 100, 0, 4)
	for v, want := range map[float64]float64{0: 100, 5: 50, 10: 0, 1000: 0} {
		if got := a.at(v); got != want {
			t.Errorf("%g is at %g, want %g", v, got, want)
		}
	}
}

func TestDashes(t *testing.T) {
	t.Parallel()
	corner := []Point{{0, 0}, {5, 0}, {5, 5}}
	for name, tt := range map[string]struct {
		pattern []float64
		want    [][2]Point
	}{
		"solid": {nil, [][2]Point{{{0, 0}, {5, 0}}, {{5, 0}, {5, 5}}}},
		"dashed": {[]float64{4, 3}, [][2]Point{
			{{0, 0}, {4, 0}}, {{5, 2}, {5, 5}},
		}},
	} {
		if diff := cmp.Diff(tt.want, dashes(corner, tt.pattern)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
