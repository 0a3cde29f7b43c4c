package dashboards

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Dashboard is the part of a dashboard that is drawn.
type Dashboard struct {
	Name   string  `json:"-"` // of its file
	Title  string  `json:"title"`
	Panels []Panel `json:"panels"`
}

// Panel is one panel, with what its queries have returned.
type Panel struct {
	Type    string                   `json:"type"`
	Title   string                   `json:"title"`
	GridPos struct{ H, W, X, Y int } `json:"gridPos"`
	Targets []struct{ Expr string }  `json:"targets"`
	Series  []Series                 `json:"-"`
}

// Series is one series that a query returned.
type Series struct {
	Labels map[string]string
	Points []Point
}

// Point is a value at a time in seconds since 1970.
type Point struct{ At, Value float64 }

// Load reads the dashboards of a directory, sorted by name.
func Load(dir string) ([]Dashboard, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no dashboards in %s", dir)
	}
	if err != nil {
		return nil, err
	}
	all := make([]Dashboard, len(files))
	for i, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, &all[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all[i].Name = strings.TrimSuffix(filepath.Base(file), ".json")
	}
	return all, nil
}

// Query returns a panel's query with values for Grafana's variables: all pools of a namespace, and
// rates over this many seconds.
func Query(expr, namespace string, rateSeconds int) string {
	return strings.NewReplacer(
		"$__rate_interval", fmt.Sprintf("%ds", rateSeconds), "$namespace", namespace, "$pool", ".*",
	).Replace(expr)
}

// Empty returns the titles of the panels that have nothing to show, as DASHBOARD: PANEL.
func Empty(all []Dashboard) (titles []string) {
	for i := range all {
		for k := range all[i].Panels {
			if p := &all[i].Panels[k]; len(p.Targets) > 0 && len(p.Series) == 0 {
				titles = append(titles, all[i].Name+": "+p.Title)
			}
		}
	}
	return titles
}
