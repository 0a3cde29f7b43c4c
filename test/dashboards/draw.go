package dashboards

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	column, row = 48, 34 // pixels of one unit of Grafana's grid
	shownLegend = 5      // series whose names fit below a panel
)

var colors = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"}

// Draw returns a dashboard with the results of its queries, as SVG: numbers with their last value,
// tables as text, everything else as lines.
func Draw(d *Dashboard) string {
	height := 0
	var b strings.Builder
	for i := range d.Panels {
		p := &d.Panels[i]
		height = max(height, (p.GridPos.Y+p.GridPos.H)*row)
		x, y, w, h := p.GridPos.X*column+3, p.GridPos.Y*row+3, p.GridPos.W*column-6, p.GridPos.H*row-6
		if len(p.Targets) == 0 {
			write(&b, x, y+row/2, 15, "bold", p.Title)
			continue
		}
		// A panel cuts off whatever is wider.
		fmt.Fprintf(&b, "<svg x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\">\n", x, y, w, h)
		b.WriteString("<rect width=\"100%\" height=\"100%\" fill=\"#fff\" stroke=\"#ccc\"/>\n")
		write(&b, 8, 17, 12, "bold", p.Title)
		switch p.Type {
		case "stat":
			value := "no data"
			if len(p.Series) > 0 {
				value = number(last(&p.Series[0]))
			}
			write(&b, 8, h*2/3+8, 28, "normal", value)
		case "table":
			list(&b, p.Series, h)
		default:
			lines(&b, p.Series, w, h)
		}
		b.WriteString("</svg>\n")
	}
	head := "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\">\n" +
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#f4f5f5\"/>\n"
	return fmt.Sprintf(head, 24*column, height) + b.String() + "</svg>\n"
}

func write(b *strings.Builder, x, y, size int, weight, text string) {
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" font-size=\"%d\" font-weight=\"%s\">", x, y, size, weight)
	_ = xml.EscapeText(b, []byte(text)) // a strings.Builder accepts everything
	b.WriteString("</text>\n")
}

func last(s *Series) float64 { return s.Points[len(s.Points)-1].Value }

func number(v float64) string { return fmt.Sprintf("%.4g", v) }

// name returns a series' labels, without those that all series of its panel have in common.
func name(s *Series, all []Series) string {
	var parts []string
	for _, label := range slices.Sorted(maps.Keys(s.Labels)) {
		differs := func(o Series) bool { return o.Labels[label] != s.Labels[label] }
		if slices.ContainsFunc(all, differs) {
			parts = append(parts, label+"="+s.Labels[label])
		}
	}
	return strings.Join(parts, " ")
}

// list writes a line for each series that has a value at the end.
func list(b *strings.Builder, all []Series, h int) {
	for i := range min(len(all), h/16-2) {
		write(b, 8, 36+16*i, 11, "normal", name(&all[i], all)+": "+number(last(&all[i])))
	}
}

// lines draws the series over time, and names the largest ones.
func lines(b *strings.Builder, all []Series, w, h int) {
	if len(all) == 0 {
		write(b, w/2-30, h/2, 12, "normal", "no data")
		return
	}
	all = slices.SortedStableFunc(slices.Values(all), func(a, c Series) int { return cmp.Compare(last(&c), last(&a)) })
	from, to, most := all[0].Points[0].At, all[0].Points[0].At+1, 0.
	for i := range all {
		for _, p := range all[i].Points {
			from, to, most = min(from, p.At), max(to, p.At), max(most, p.Value)
		}
	}
	write(b, w-110, 17, 11, "normal", "max "+number(most))
	legend := 13 * min(len(all), shownLegend)
	width, tall := float64(w-16), float64(h-40-legend)
	for i := range all {
		color := colors[i%len(colors)]
		var x, y float64
		b.WriteString("<polyline fill=\"none\" stroke=\"" + color + "\" points=\"")
		for _, p := range all[i].Points {
			x, y = 8+width*(p.At-from)/(to-from), 28+tall*(1-max(0, p.Value)/max(most, 1e-9))
			fmt.Fprintf(b, "%.1f,%.1f ", x, y)
		}
		// A line of one point shows nothing.
		fmt.Fprintf(b, "\"/>\n<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" fill=\"%s\"/>\n", x, y, color)
		if i < shownLegend {
			at := h - legend + 13*i - 2
			fmt.Fprintf(b, "<rect x=\"8\" y=\"%d\" width=\"9\" height=\"9\" fill=\"%s\"/>\n", at, color)
			write(b, 22, at+9, 10, "normal", number(last(&all[i]))+"  "+name(&all[i], all))
		}
	}
}
