package operator

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// Namespace is the operator's own namespace.
const Namespace = "gearman-system"

// Elected are the flags of an operator that takes part in leader election, as the chart's does.
var Elected = []string{"--leader-elect", "--leader-election-namespace=" + Namespace}

// Options are the options of an Operator.
type Options struct {
	Kubeconfig string
	Flags      []string          // in addition to those of every benchmark
	Wrap       func(c *exec.Cmd) // changes the command before it starts; nil: no change
}

// Operator is the operator as a process.
type Operator struct {
	Flags []string // all of them
	Log   string   // path

	binary, metrics string
	options         Options
	cmd             *exec.Cmd // nil while it doesn't run
}

// Build builds the operator. Once started, its process ends with the test. The end of its log is
// shown if the test fails.
func Build(t *testing.T, options Options) *Operator {
	t.Helper()
	dir := t.TempDir()
	metrics, err := jobserver.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	o := &Operator{
		binary: filepath.Join(dir, "manager"), Log: filepath.Join(dir, "log"), metrics: metrics, options: options,
		Flags: append([]string{
			"--runtime-image=gearman-operator:bench", "--allowed-job-servers=127.0.0.0/8", "--metrics-secure=false",
			"--metrics-bind-address=" + metrics, "--health-probe-bind-address=0",
		}, options.Flags...),
	}
	// It is built as the image is, and never with the race detector.
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", o.binary, "../../../cmd/manager")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the operator: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if o.cmd != nil {
			_ = o.cmd.Process.Kill()
			_ = o.cmd.Wait()
		}
		if text, err := os.ReadFile(o.Log); err == nil && t.Failed() {
			t.Logf("end of the operator's log:\n%s", text[max(0, len(text)-20_000):])
		}
	})
	return o
}

// Start starts the process, which appends to the log.
func (o *Operator) Start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(o.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(o.binary, o.Flags...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+o.options.Kubeconfig, "POD_NAMESPACE="+Namespace, "POD_NAME=bench")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a canceled test leaves nothing behind
	if o.options.Wrap != nil {
		o.options.Wrap(cmd)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o.cmd = cmd
}

// Stop ends the process as a rollout does.
func (o *Operator) Stop(t *testing.T) {
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

// PID returns the process id.
func (o *Operator) PID() int { return o.cmd.Process.Pid }

// LogText returns what the process has logged so far.
func (o *Operator) LogText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(o.Log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Get reads a page of the metrics port.
func (o *Operator) Get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
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

// Families reads the metrics.
func (o *Operator) Families(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	text, err := o.Get(t.Context(), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	families, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// Parse parses the text format of metrics.
func Parse(text []byte) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(bytes.NewReader(text))
}
