package hostile

import (
	"bytes"
	"cmp"
	"context"
	"errors"
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

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

const (
	own = "gearman-system"
	// limitMiB is the chart's limits.memory.
	limitMiB = 512
)

// operator is cmd/manager as a process of its own, under a memory limit.
type operator struct {
	metrics, log string // address, path
	cmd          *exec.Cmd
	cgroup       string // directory; empty: the limit is Go's own
}

// startOperator starts the operator as the image has it. nameserver is an address whose port 53
// answers DNS; empty: it uses the machine's, as no pool has a name then.
func startOperator(t *testing.T, kubeconfig, nameserver string, flags ...string) *operator {
	t.Helper()
	dir := t.TempDir()
	o := &operator{metrics: freeAddress(t), log: filepath.Join(dir, "log"), cgroup: memoryGroup(t)}
	binary := filepath.Join(dir, "manager")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../../../cmd/manager")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the image is built; never with the race detector
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the operator: %v\n%s", err, out)
	}
	log, err := os.Create(o.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	script := `exec "$@"`
	if o.cgroup != "" {
		script = `echo $$ >"$CGROUP/cgroup.procs" && ` + script
	}
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that is cut short leaves nothing behind
	if nameserver != "" {
		script = `mount --bind "$RESOLV" /etc/resolv.conf && ` + script
		attributes.Unshareflags = syscall.CLONE_NEWNS
	}
	o.cmd = exec.Command("/bin/sh", append([]string{
		"-c", script, "sh", binary, "--runtime-image=gearman-operator:bench", "--allowed-job-servers=127.0.0.0/8",
		"--log-format=json", "--metrics-secure=false", "--metrics-bind-address=" + o.metrics,
		"--health-probe-bind-address=0", "--pprof-bind-address=" + cmp.Or(os.Getenv("BENCH_HOSTILE_PPROF"), "0"),
	}, flags...)...)
	o.cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "POD_NAMESPACE="+own, "POD_NAME=bench", "CGROUP="+o.cgroup,
		// as it sets it by the limit of its container
		"RESOLV="+resolvConf(t, nameserver), fmt.Sprintf("GOMEMLIMIT=%d", limitMiB<<20/100*90))
	o.cmd.Stdout, o.cmd.Stderr, o.cmd.SysProcAttr = log, log, attributes
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = o.cmd.Process.Kill()
		_ = o.cmd.Wait()
		if text, err := os.ReadFile(o.log); err == nil && t.Failed() {
			t.Logf("end of the operator's log:\n%s", text[max(0, len(text)-20_000):])
		}
	})
	return o
}

// canHideResolvConf reports whether a process can be started that has another /etc/resolv.conf.
func canHideResolvConf(t *testing.T) bool {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `mount --bind "$RESOLV" /etc/resolv.conf`)
	cmd.Env = append(os.Environ(), "RESOLV="+resolvConf(t, "127.0.0.1"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("no pool has names, since this needs root: %v %s", err, out)
	}
	return err == nil
}

// resolvConf writes the file as the kubelet does for a pod.
func resolvConf(t *testing.T, nameserver string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "resolv.conf")
	text := "search " + own + ".svc.cluster.local svc.cluster.local cluster.local\nnameserver " + nameserver +
		"\noptions ndots:5\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// memoryGroup makes a cgroup with the chart's limit, of version 2 or 1, and returns its directory;
// it is empty if this machine doesn't allow that.
func memoryGroup(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("gearman-bench-%d", os.Getpid())
	for _, g := range []struct {
		root, limit string
	}{{"/sys/fs/cgroup", "memory.max"}, {"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}} {
		dir := filepath.Join(g.root, name)
		if _, err := os.Stat(filepath.Join(g.root, "cgroup.procs")); err != nil || os.Mkdir(dir, 0o755) != nil {
			continue
		}
		if err := writeExisting(filepath.Join(dir, g.limit), strconv.Itoa(limitMiB<<20)); err != nil {
			t.Logf("limit the operator's memory: %v", err)
			_ = os.Remove(dir)
			continue
		}
		t.Cleanup(func() { // after the operator's end; the kernel may need a moment
			for range 100 {
				if err := os.Remove(dir); err == nil || os.IsNotExist(err) {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
			t.Logf("%s is left behind", dir)
		})
		return dir
	}
	return ""
}

func writeExisting(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// ceiling says what bounds the operator's memory.
func (o *operator) ceiling() string {
	if o.cgroup == "" {
		return fmt.Sprintf("no cgroup can be made here: GOMEMLIMIT of 90%% of %d MiB, and the measured RSS", limitMiB)
	}
	return fmt.Sprintf("cgroup %s with %d MiB, GOMEMLIMIT of 90%% of it", o.cgroup, limitMiB)
}

// cgroupPeak is the most that the cgroup held, in MiB: beside the process's memory that of its
// files and of its sockets; 0 without a cgroup.
func (o *operator) cgroupPeak() float64 {
	for _, file := range []string{"memory.peak", "memory.max_usage_in_bytes"} {
		if text, err := os.ReadFile(filepath.Join(o.cgroup, file)); o.cgroup != "" && err == nil {
			n, _ := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
			return n / (1 << 20)
		}
	}
	return 0
}

// rss is the memory of the process, in MiB.
func (o *operator) rss() (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", o.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kib float64
	_, err = fmt.Sscan(rest, &kib)
	return kib / 1024, err
}

// cpu is the processor time that the process has used, in seconds; the kernel counts it in
// hundredths.
func (o *operator) cpu(t *testing.T) float64 {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", o.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var user, system float64
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		t.Fatal(err)
	}
	return (user + system) / 100
}

func (o *operator) get(ctx context.Context, path string) ([]byte, error) {
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
		return nil, fmt.Errorf("%s: %s", path, response.Status)
	}
	return io.ReadAll(response.Body)
}

// logLines is how many lines the log has.
func (o *operator) logLines(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(o.log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

func freeAddress(t *testing.T) string {
	t.Helper()
	addr, err := jobserver.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}
