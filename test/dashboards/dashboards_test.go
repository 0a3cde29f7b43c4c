package dashboards

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const dir = "../../charts/gearman-operator/files/dashboards"

func TestLoad(t *testing.T) {
	t.Parallel()
	all, err := Load(dir)
	if err != nil || len(all) != 3 || all[0].Name != "operator" || all[2].Name != "pool" {
		t.Fatalf("%d dashboards, %v", len(all), err)
	}
	empty := Empty(all)
	if len(empty) < 30 || empty[0] != "operator: Operator" {
		t.Errorf("%d panels have nothing to show before a query: %v", len(empty), empty)
	}
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("a directory without dashboards is an error")
	}
	for i := range all {
		for _, p := range all[i].Panels {
			for _, target := range p.Targets {
				if q := Query(target.Expr, "jobs", 60); strings.Contains(q, "$") {
					t.Errorf("a variable is left in %s", q)
				}
			}
		}
	}
}

func TestParseRange(t *testing.T) {
	t.Parallel()
	const ok = `{"status":"success","data":{"resultType":"matrix","result":[` +
		`{"metric":{"pool":"a"},"values":[[1.5,"2"],[2.5,"NaN"],[3.5,"4"]]},{"metric":{},"values":[[1,"NaN"]]}]}}`
	got, err := ParseRange([]byte(ok))
	want := []Series{{Labels: map[string]string{"pool": "a"}, Points: []Point{{1.5, 2}, {3.5, 4}}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{
		"", `{"status":"error","error":"parse error"}`,
		`{"status":"success","data":{"result":[{"values":[["x","1"]]}]}}`,
		`{"status":"success","data":{"result":[{"values":[[1,"x"]]}]}}`,
	} {
		if got, err := ParseRange([]byte(bad)); err == nil {
			t.Errorf("%s is read as %v", bad, got)
		}
	}
}

// TestDraw: a drawing is well-formed, names the series by the labels that distinguish them, and
// shows if there is no data.
func TestDraw(t *testing.T) {
	t.Parallel()
	all, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	series := func(pool string, values ...float64) Series {
		s := Series{Labels: map[string]string{"pool": pool, "namespace": "jobs"}}
		for i, v := range values {
			s.Points = append(s.Points, Point{float64(i), v})
		}
		return s
	}
	for i := range all {
		for k := range all[i].Panels {
			if k%3 > 0 {
				all[i].Panels[k].Series = []Series{series("<a>", 1, 2, 12345678), series("b", 7)}
			}
		}
		svg := Draw(&all[i])
		decoder := xml.NewDecoder(strings.NewReader(svg))
		for err = nil; err == nil; {
			_, err = decoder.Token()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", all[i].Name, err)
		}
		for _, want := range []string{"pool=&lt;a&gt;", "no data", "1.235e+07", "<circle"} {
			if !strings.Contains(svg, want) {
				t.Errorf("%s lacks %q", all[i].Name, want)
			}
		}
		if strings.Contains(svg, "namespace=jobs") {
			t.Errorf("%s names what all series have in common", all[i].Name)
		}
	}
}
