package hostile

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/test/bench/operator"
)

// limitMiB is the chart's limits.memory.
const limitMiB = 512

// manager is the operator under a memory limit.
type manager struct {
	*operator.Operator
	cgroup string // directory; empty: the limit is Go's own
}

// startManager starts the operator. nameserver is an address whose port 53 answers DNS. If it is
// empty, the operator uses the machine's, since no pool has a name then.
func startManager(t *testing.T, kubeconfig, nameserver string, flags ...string) *manager {
	t.Helper()
	m := &manager{cgroup: memoryGroup(t)}
	resolv := resolvConf(t, nameserver)
	m.Operator = operator.Build(t, operator.Options{
		Kubeconfig: kubeconfig,
		Flags: append([]string{
			"--log-format=json", "--pprof-bind-address=" + cmp.Or(os.Getenv("BENCH_HOSTILE_PPROF"), "0"),
		}, flags...),
		Wrap: func(c *exec.Cmd) {
			script := `exec "$@"`
			if m.cgroup != "" {
				script = `echo $$ >"$CGROUP/cgroup.procs" && ` + script
			}
			if nameserver != "" {
				script = `mount --bind "$RESOLV" /etc/resolv.conf && ` + script
				c.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
			}
			c.Args = append([]string{"/bin/sh", "-c", script, "sh"}, c.Args...)
			c.Path = "/bin/sh"
			// In a container the operator sets this limit itself, to 90% of the container's.
			c.Env = append(
				c.Env, "CGROUP="+m.cgroup, "RESOLV="+resolv, fmt.Sprintf("GOMEMLIMIT=%d", limitMiB<<20/100*90),
			)
		},
	})
	m.Start(t)
	return m
}

// canHideResolvConf reports whether a process can have an /etc/resolv.conf of its own.
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
	text := "search " + operator.Namespace + ".svc.cluster.local svc.cluster.local cluster.local\nnameserver " + nameserver +
		"\noptions ndots:5\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// memoryGroup makes a cgroup with the chart's limit, of version 2 or 1, and returns its directory,
// or "" if this machine doesn't allow that.
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

// ceiling returns what limits the operator's memory.
func (m *manager) ceiling() string {
	if m.cgroup == "" {
		return fmt.Sprintf("no cgroup can be made here: GOMEMLIMIT of 90%% of %d MiB, and the measured RSS", limitMiB)
	}
	return fmt.Sprintf("cgroup %s with %d MiB, GOMEMLIMIT of 90%% of it", m.cgroup, limitMiB)
}

// cgroupPeak returns the most memory that the cgroup held, in MiB: the process's, and that for its
// files and its sockets. It returns 0 without a cgroup.
func (m *manager) cgroupPeak() float64 {
	for _, file := range []string{"memory.peak", "memory.max_usage_in_bytes"} {
		if text, err := os.ReadFile(filepath.Join(m.cgroup, file)); m.cgroup != "" && err == nil {
			n, _ := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
			return n / (1 << 20)
		}
	}
	return 0
}

// rss returns the memory of the process, in MiB.
func (m *manager) rss() (float64, error) { return operator.RSS(m.PID()) }

// logLines returns how many lines the log has.
func (m *manager) logLines(t *testing.T) int {
	t.Helper()
	return strings.Count(m.LogText(t), "\n")
}
