package scale

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// operator is cmd/manager as a process of its own, so that what it uses is its own.
type operator struct {
	binary, kubeconfig string
	metrics            string // address
	log                string // path
	cmd                *exec.Cmd
	flags              []string
}

func newOperator(t *testing.T, kubeconfig string) *operator {
	t.Helper()
	dir := t.TempDir()
	o := &operator{
		binary: filepath.Join(dir, "manager"), kubeconfig: kubeconfig, metrics: freeAddress(t),
		log: filepath.Join(dir, "log"),
	}
	// As the image is built; never with the race detector.
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", o.binary, "../../../cmd/manager")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the operator: %v\n%s", err, out)
	}
	o.flags = []string{
		"--leader-elect", "--leader-election-namespace=" + own, "--runtime-image=gearman-operator:bench",
		"--allowed-job-servers=127.0.0.0/8", "--log-format=text", "--log-level=info",
		"--metrics-secure=false", "--metrics-bind-address=" + o.metrics, "--health-probe-bind-address=0",
		"--pprof-bind-address=" + os.Getenv("BENCH_SCALE_PPROF"),
	}
	t.Cleanup(func() {
		if o.cmd != nil {
			_ = o.cmd.Process.Kill()
			_ = o.cmd.Wait()
		}
		if log, err := os.ReadFile(o.log); err == nil && t.Failed() {
			t.Logf("end of the operator's log:\n%s", log[max(0, len(log)-20_000):])
		}
	})
	return o
}

func (o *operator) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(o.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	o.cmd = exec.Command(o.binary, o.flags...)
	o.cmd.Env = append(os.Environ(), "KUBECONFIG="+o.kubeconfig, "POD_NAMESPACE="+own, "POD_NAME=bench")
	o.cmd.Stderr = log
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// stop ends the operator as a rollout does.
func (o *operator) stop(t *testing.T) {
	t.Helper()
	if err := o.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := o.cmd.Wait()
	o.cmd = nil
	if err != nil {
		t.Fatalf("the operator ended with: %v", err)
	}
}

func (o *operator) pid() int { return o.cmd.Process.Pid }

// errors are the lines of the log that tell of errors.
func (o *operator) errors(t *testing.T) []string {
	t.Helper()
	log, err := os.ReadFile(o.log)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "level=ERROR") {
			out = append(out, line)
		}
	}
	return out
}

func (o *operator) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+o.metrics+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", path, response.Status)
	}
	return io.ReadAll(response.Body)
}

// entries is what the operator keeps in memory.
func (o *operator) entries(ctx context.Context) (map[string]int, error) {
	text, err := o.get(ctx, "/statusz")
	if err != nil {
		return nil, err
	}
	var out map[string]int
	return out, json.Unmarshal(text, &out)
}

func (o *operator) families(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	text, err := o.get(t.Context(), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, text)
}

func parse(t *testing.T, text []byte) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func labels(m *dto.Metric) map[string]string {
	out := map[string]string{}
	for _, l := range m.GetLabel() {
		out[l.GetName()] = l.GetValue()
	}
	return out
}

// histogram is how many observations were at most so many seconds.
type histogram struct {
	bounds []float64
	counts []float64 // cumulative
}

// delays is the operator's own figure of how long growing took.
func (o *operator) delays(t *testing.T) histogram {
	t.Helper()
	var out histogram
	for _, m := range o.families(t)["gearman_scale_delay_seconds"].GetMetric() {
		if labels(m)["direction"] != "up" {
			continue
		}
		out = out.plus(m.GetHistogram())
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

// quantile is between the bounds of the bucket that holds it, as if that were evenly filled.
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

func freeAddress(t *testing.T) string {
	t.Helper()
	addr, err := jobserver.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// cpu is the processor time that a process has used, in seconds; the kernel counts it in
// hundredths.
func cpu(t *testing.T, pid int) float64 {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return float64(user+system) / 100
}

// rss is the memory of a process, in MiB.
func rss(t *testing.T, pid int) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib / 1024
}

// sleep waits, as part of what is measured.
func sleep(t *testing.T, d time.Duration) {
	t.Helper()
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// eventually waits until check returns nil.
func eventually(t *testing.T, limit time.Duration, what string, check func() error) {
	t.Helper()
	began := time.Now()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Since(began) > limit {
			t.Fatalf("waited %v for %s: %v", limit, what, err)
		}
		sleep(t, 200*time.Millisecond)
	}
}
