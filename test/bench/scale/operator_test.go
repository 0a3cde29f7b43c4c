package scale

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/gearman-operator/gearman-operator/test/bench/operator"
)

// manager is the operator, with the figures that this benchmark reads.
type manager struct{ *operator.Operator }

func newManager(t *testing.T, kubeconfig string) *manager {
	t.Helper()
	return &manager{operator.Build(t, operator.Options{
		Kubeconfig: kubeconfig,
		Flags: append([]string{
			"--log-format=text", "--log-level=info", "--pprof-bind-address=" + os.Getenv("BENCH_SCALE_PPROF"),
		}, operator.Elected...),
	})}
}

// errors returns the lines of the log that report errors.
func (m *manager) errors(t *testing.T) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(m.LogText(t)) {
		if strings.Contains(line, "level=ERROR") {
			out = append(out, line)
		}
	}
	return out
}

// entries returns what the operator keeps in memory.
func (m *manager) entries(ctx context.Context) (map[string]int, error) {
	text, err := m.Get(ctx, "/statusz")
	if err != nil {
		return nil, err
	}
	var out map[string]int
	return out, json.Unmarshal(text, &out)
}

func labels(m *dto.Metric) map[string]string {
	out := map[string]string{}
	for _, l := range m.GetLabel() {
		out[l.GetName()] = l.GetValue()
	}
	return out
}

// histogram is how many observations were at most each number of seconds.
type histogram struct {
	bounds []float64
	counts []float64 // cumulative
}

// delays returns the operator's own figure of how long scale-ups took.
func (m *manager) delays(t *testing.T) histogram {
	t.Helper()
	var out histogram
	for _, series := range m.Families(t)["gearman_scale_delay_seconds"].GetMetric() {
		if labels(series)["direction"] != "up" {
			continue
		}
		out = out.plus(series.GetHistogram())
	}
	return out
}

// plus adds a histogram of the same bounds.
func (h histogram) plus(m *dto.Histogram) histogram {
	for i, b := range m.GetBucket() {
		if i == len(h.bounds) {
			h.bounds, h.counts = append(h.bounds, b.GetUpperBound()), append(h.counts, 0)
		}
		h.counts[i] += float64(b.GetCumulativeCount())
	}
	return h
}

func (h histogram) since(before histogram) histogram {
	out := histogram{bounds: h.bounds}
	for i, n := range h.counts {
		if i < len(before.counts) {
			n -= before.counts[i]
		}
		out.counts = append(out.counts, n)
	}
	return out
}

func (h histogram) count() float64 {
	if len(h.counts) == 0 {
		return 0
	}
	return h.counts[len(h.counts)-1]
}

// quantile returns the quantile, assuming that observations are spread evenly in the bucket that
// holds it.
func (h histogram) quantile(q float64) float64 {
	rank, low, below := q*h.count(), 0., 0.
	for i, n := range h.counts {
		if n >= rank && n > below {
			if i == len(h.counts)-1 {
				return low // beyond all bounds
			}
			return low + (h.bounds[i]-low)*(rank-below)/(n-below)
		}
		low, below = h.bounds[i], n
	}
	return low
}

// rss returns the memory of a process, in MiB.
func rss(t *testing.T, pid int) float64 {
	t.Helper()
	mib, err := operator.RSS(pid)
	if err != nil {
		t.Fatal(err)
	}
	return mib
}
