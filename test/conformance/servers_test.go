package conformance

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
)

// options are the switches of a job server that a row may ask for.
type options struct {
	jobRetries int
	wakeup     int
	roundRobin bool
	exceptions bool
}

// A target is a running server.
type target struct {
	addr string
	stop func()
}

func (t *target) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", t.addr)
}

// A server is a kind of job server.
type server struct {
	name    string
	version string // asked on the wire, for the report
	// start starts one; an error that is errUnsupported means that the server has no such option.
	start func(o options) (*target, error)
	// slow servers get rows one after the other.
	missing string // why it can't be run here; empty: it can
}

const (
	nameFake     = "gearmantest"
	nameGearmand = "gearmand"
	namePerl     = "Gearman::Server"
)

func servers() []*server {
	return []*server{
		{name: nameFake, start: startFake},
		{name: nameGearmand, start: startGearmand, missing: missing("/usr/sbin/gearmand", "gearman-job-server")},
		{name: namePerl, start: startPerl, missing: missing("/usr/share/perl5/Gearman/Server.pm", "gearman-server")},
	}
}

func missing(path, pkg string) string {
	if _, err := os.Stat(path); err != nil {
		return fmt.Sprintf("Debian package %s is not installed (no %s)", pkg, path)
	}
	return ""
}

func startFake(o options) (*target, error) {
	opts := []gearmantest.Option{
		gearmantest.WithJobRetries(o.jobRetries), gearmantest.WithWorkerWakeup(o.wakeup), gearmantest.WithHandlePrefix("H:test"),
	}
	if o.roundRobin {
		opts = append(opts, gearmantest.WithRoundRobin())
	}
	if o.exceptions {
		opts = append(opts, gearmantest.WithExceptions())
	}
	s := gearmantest.NewServer(opts...)
	return &target{addr: s.Addr(), stop: s.Close}, nil
}

func startGearmand(o options) (*target, error) {
	args := []string{"--listen=127.0.0.1", "--log-file=stderr", "--job-handle-prefix=H:test"}
	if o.jobRetries != 0 {
		args = append(args, "--job-retries="+strconv.Itoa(o.jobRetries))
	}
	if o.wakeup != 0 {
		args = append(args, "--worker-wakeup="+strconv.Itoa(o.wakeup))
	}
	if o.roundRobin {
		args = append(args, "--round-robin")
	}
	if o.exceptions {
		args = append(args, "--exceptions")
	}
	return startProcess("/usr/sbin/gearmand", args)
}

func startPerl(o options) (*target, error) {
	var args []string
	switch {
	case o.jobRetries != 0:
		args = append(args, "--job-retries="+strconv.Itoa(o.jobRetries))
	case o.roundRobin:
		args = append(args, "--round-robin")
	case o.exceptions:
		args = append(args, "--exceptions")
	}
	if o.wakeup != 0 {
		args = append(args, "--wakeup="+strconv.Itoa(o.wakeup))
	}
	return startProcess("/usr/bin/gearmand", append(args, "--listen=127.0.0.1"))
}

// startProcess runs a job server on a free port and waits until it answers.
func startProcess(path string, args []string) (*target, error) {
	var last error
	for range 5 { // another process can take the port before the server does
		t, err := startOnce(path, args)
		if err == nil {
			return t, nil
		}
		last = err
	}
	return nil, last
}

func startOnce(path string, args []string) (*target, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if err := l.Close(); err != nil {
		return nil, err
	}
	var output bytes.Buffer
	cmd := exec.Command(path, append(args, "--port="+port)...)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t := &target{addr: addr, stop: func() {
		_ = cmd.Process.Kill() // an error means that it has ended
		<-exited
	}}
	deadline := time.Now().Add(patience)
	for {
		if version, err := askVersion(addr); err == nil && version != "" {
			return t, nil
		}
		select {
		case err := <-exited:
			return nil, fmt.Errorf("%s %q ended at its start: %w: %s", path, args, err, bytes.TrimSpace(output.Bytes()))
		default:
		}
		if time.Now().After(deadline) {
			t.stop()
			return nil, fmt.Errorf("%s %q does not answer within %s", path, args, patience)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// askVersion asks a server for its version over a connection of its own.
func askVersion(addr string) (string, error) {
	nc, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	if _, err := nc.Write([]byte("version\n")); err != nil {
		return "", err
	}
	var answer [64]byte
	n, err := nc.Read(answer[:])
	if err != nil {
		return "", err
	}
	return string(bytes.TrimPrefix(bytes.TrimSpace(answer[:n]), []byte("OK "))), nil
}

// mustStart starts a server for a test that can't go on without it.
func mustStart(t *testing.T, s *server, o options) *target {
	t.Helper()
	if s.missing != "" {
		t.Skip(s.missing)
	}
	tg, err := s.start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tg.stop)
	return tg
}
