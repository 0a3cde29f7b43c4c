package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLinesPlot(t *testing.T) {
	t.Parallel()
	points := [][2]float64{{0, 0}, {2, 500}, {40, 0}}
	file := filepath.Join(t.TempDir(), "new", "lines.svg")
	panels := []Panel{
		{Label: "jobs queued", Lines: []Line{{Name: "queued", Points: points}}},
		{Label: "pods", Lines: []Line{{Name: "wanted", Points: points}, {Name: "ready", Points: points}}},
	}
	if err := LinesPlot(file, "a demo", panels); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "a demo", "jobs queued", "pods", "wanted", "ready", "time (s)"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("the picture lacks %q", want)
		}
	}
	if strings.Contains(string(data), ">queued<") {
		t.Error("a panel of one line needs no legend")
	}
	for name, tc := range map[string]struct {
		file   string
		panels []Panel
		want   string
	}{
		"nothing":        {file: file, want: "nothing to draw"},
		"no points":      {file: file, panels: []Panel{{Lines: []Line{{Name: "empty"}}}}, want: "empty"},
		"another format": {file: "lines.gif", panels: panels, want: "only .svg and .png"},
	} {
		if err := LinesPlot(tc.file, "", tc.panels); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error = %v, want %q", name, err, tc.want)
		}
	}
}
