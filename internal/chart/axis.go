package chart

import (
	"math"
	"strconv"
)

// axis maps values from zero to most onto a stretch of the canvas.
type axis struct {
	most     float64
	from, to float64 // on the canvas
	step     float64 // between ticks
}

// newAxis returns an axis that reaches at least most, with about n ticks.
func newAxis(most, from, to float64, n int) axis {
	if most <= 0 {
		most = 1
	}
	return axis{most: most, from: from, to: to, step: niceStep(most / float64(n))}
}

func (a axis) at(v float64) float64 { return a.from + min(v, a.most)/a.most*(a.to-a.from) }

// ticks are the values that get a label.
func (a axis) ticks() []float64 {
	var out []float64
	for i := 0; float64(i)*a.step <= a.most*(1+1e-9); i++ {
		out = append(out, float64(i)*a.step)
	}
	return out
}

// niceStep is the least of 1, 2, 2.5 and 5 times a power of ten that is no less than v.
func niceStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

func tickLabel(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
