package tlsproxy

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

// ServerName is the name in the job server's certificate.
const ServerName = "gearmand-tls.jobs.svc"

// Proxy is a gearmand behind HAProxy.
type Proxy struct {
	Addr     string // of the proxy
	Gearmand string // of the gearmand behind it
	Dir      string // has the files that gearmand-tls-certificates.sh makes
}

// File returns the path and the content of a file of the proxy's certificate authority.
func (p *Proxy) File(tb testing.TB, name string) (path string, content []byte) {
	tb.Helper()
	path = filepath.Join(p.Dir, name)
	content, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return path, content
}

// Start starts both, and stops them when the test ends. examples is the path of the directory
// examples.
func Start(tb testing.TB, examples string) *Proxy {
	tb.Helper()
	addr, err := jobserver.FreeAddr()
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{Addr: addr, Gearmand: jobserver.Gearmand(tb).Addr, Dir: Certificates(tb, examples)}
	// The Secret is made by the steps of docs/howto/tls.md.
	tls := tb.TempDir()
	for from, to := range map[string]string{"server.crt": "tls.crt", "server.key": "tls.key", "ca.crt": "ca.crt"} {
		_, content := p.File(tb, from)
		if err := os.WriteFile(filepath.Join(tls, to), content, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	config := Config(tb, examples)
	for old, now := range map[string]string{
		"bind :4731": "bind " + p.Addr, "/tls/": tls + "/", "127.0.0.1:4730": p.Gearmand,
	} {
		if !strings.Contains(config, old) {
			tb.Fatalf("%q is not in the configuration of the example", old)
		}
		config = strings.ReplaceAll(config, old, now)
	}
	path := filepath.Join(tls, "haproxy.cfg")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		tb.Fatal(err)
	}
	start(tb, p.Addr, "haproxy", "-f", path, "-db")
	return p
}

// Certificates runs the example's script, and returns the directory that it filled.
func Certificates(tb testing.TB, examples string) string {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "certificates")
	if out, err := exec.Command(
		filepath.Join(examples, "gearmand-tls-certificates.sh"), dir, ServerName,
	).CombinedOutput(); err != nil {
		tb.Fatalf("make the certificates: %v\n%s", err, out)
	}
	return dir
}

// Config returns the configuration of HAProxy in the example.
func Config(tb testing.TB, examples string) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(examples, "gearmand-tls.yaml"))
	if err != nil {
		tb.Fatal(err)
	}
	first, _, _ := bytes.Cut(text, []byte("\n---\n"))
	var config corev1.ConfigMap
	if err := yaml.UnmarshalStrict(append(bytes.Clone(first), '\n'), &config); err != nil ||
		config.Data["haproxy.cfg"] == "" {
		tb.Fatalf("the example's first object is to be the ConfigMap with haproxy.cfg: %v", err)
	}
	return config.Data["haproxy.cfg"]
}

// start starts a program and waits until it accepts connections at addr.
func start(tb testing.TB, addr, program string, args ...string) {
	tb.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if path = "/usr/sbin/" + program; exec.Command(path, "-v").Run() != nil {
			tb.Fatalf("%s is not installed: run make deps", program)
		}
	}
	var log kit.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		if err := <-ended; tb.Failed() {
			tb.Logf("%s (%v):\n%s", program, err, log.String())
		}
	})
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			tb.Fatalf("%s ended: %v", program, err)
		default:
		}
		if time.Since(began) > time.Minute {
			tb.Fatal(fmt.Errorf("%s does not listen: %w", program, err))
		}
	}
}
