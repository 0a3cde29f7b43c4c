package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// server is a gearmand that can be killed and started again.
type server struct {
	addr string
	args []string
	cmd  *exec.Cmd
}

func startServer(ctx context.Context, dir string, persistent bool) (*server, error) {
	addr, err := jobserver.FreeAddr()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	s := &server{
		addr: addr,
		args: []string{"--listen=127.0.0.1", "--port=" + port, "--config-file=/dev/null", "--log-file=none"},
	}
	if persistent {
		s.args = append(s.args, "--queue-type=libsqlite3", "--libsqlite3-db="+filepath.Join(dir, "queue"))
	}
	return s, s.start(ctx)
}

// start starts gearmand and waits until it answers.
func (s *server) start(ctx context.Context) error {
	path := "gearmand"
	if _, err := os.Stat("/usr/sbin/gearmand"); err == nil {
		path = "/usr/sbin/gearmand"
	}
	s.cmd = exec.Command(path, s.args...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("%w: apt-get install gearman-job-server", err)
	}
	for range 600 {
		if _, err := s.totals(ctx); err == nil {
			return nil
		}
		if !pause(ctx, 50*time.Millisecond) {
			break
		}
	}
	return errors.New("gearmand does not answer")
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// totals returns the queue depths of all functions.
func (s *server) totals(ctx context.Context) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := admin.Dial(ctx, s.addr, admin.Options{})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	rows, err := c.Status(ctx)
	out := map[string]int{}
	for _, row := range rows {
		out[row.Function] = int(row.Total)
	}
	return out, err
}

// proxy stands between workers and gearmand, so that connections can be cut.
type proxy struct {
	addr, to string

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func startProxy(to string) (*proxy, func(), error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	p := &proxy{addr: l.Addr().String(), to: to, conns: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(c) })
		}
	})
	return p, func() { l.Close(); p.cut(nil); wg.Wait() }, nil
}

func (p *proxy) serve(c net.Conn) {
	defer c.Close()
	up, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer up.Close()
	p.mu.Lock()
	p.conns[c] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
	}()
	go func() { _, _ = io.Copy(up, c); up.Close() }() // ends with either side
	_, _ = io.Copy(c, up)
}

// cut cuts one connection, or all if r is nil.
func (p *proxy) cut(r *rand.Rand) {
	p.mu.Lock()
	defer p.mu.Unlock()
	skip := 0
	if r != nil && len(p.conns) > 0 {
		skip = r.IntN(len(p.conns))
	}
	for c := range p.conns {
		if skip > 0 {
			skip--
			continue
		}
		_ = c.Close()
		if r != nil {
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
