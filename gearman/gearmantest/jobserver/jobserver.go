//go:build unix

package jobserver

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Server is a running job server.
type Server struct {
	Addr string // 127.0.0.1:port

	path string
	args []string
	cmd  *exec.Cmd
	log  *tail
	done chan struct{} // closed when the process has ended
}

// Gearmand starts gearmand with the given options in addition to address, port and log, for example
// "--job-retries=2".
func Gearmand(tb testing.TB, options ...string) *Server {
	tb.Helper()
	path := find("/usr/sbin/gearmand", "/usr/local/sbin/gearmand", "gearmand")
	if path == "" {
		tb.Fatal("gearmand is not installed: run `make deps`, or `apt-get install gearman-job-server`")
	}
	return GearmandAt(tb, path, options...)
}

// GearmandAt is Gearmand with the program at path.
func GearmandAt(tb testing.TB, path string, options ...string) *Server {
	tb.Helper()
	return start(tb, path, func(port string) []string {
		// With its defaults, gearmand would read a configuration file and write below /var.
		return append(
			[]string{
				"--listen=127.0.0.1", "--port=" + port, "--config-file=/dev/null", "--log-file=stderr",
				"--verbose=ERROR",
			},
			options...,
		)
	})
}

// Perl starts Perl's Gearman::Server.
func Perl(tb testing.TB, options ...string) *Server {
	tb.Helper()
	// Debian's gearman-server installs a program with the same name as gearmand, in /usr/bin.
	path := find("/usr/bin/gearmand")
	if path == "" || !isPerl(path) {
		tb.Fatal("Perl's Gearman::Server is not installed: run `make deps`, or `apt-get install gearman-server`")
	}
	return start(tb, path, func(port string) []string {
		return append([]string{"--listen=127.0.0.1:" + port, "--port=" + port}, options...)
	})
}

// Port returns the port number in Addr.
func (s *Server) Port() int {
	_, port, _ := net.SplitHostPort(s.Addr)
	n, _ := strconv.Atoi(port)
	return n
}

// PID returns the process id.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Log returns the end of the server's log.
func (s *Server) Log() string { return s.log.String() }

// Stop ends the server and waits for it. It does nothing if the server has already stopped.
func (s *Server) Stop() {
	if s.running() {
		_ = s.cmd.Process.Kill() // fails only if the process ended at this moment
	}
	<-s.done
}

// Pause stops the server's process without closing its connections, which looks like a hung server
// to its peers; Resume continues it.
func (s *Server) Pause() error {
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	// The signal is delivered asynchronously: a running thread may still respond.
	for range 1000 {
		stopped, err := s.stopped()
		if stopped || err != nil {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("process %d was sent SIGSTOP but still runs", s.PID())
}

// stopped reports whether every thread of the server has stopped.
func (s *Server) stopped() (bool, error) {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.PID()))
	if err != nil {
		return false, err
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			return false, err
		}
		// the format is "PID (NAME) STATE ...", and NAME may contain anything
		if _, state, _ := bytes.Cut(
			stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "),
		); !bytes.HasPrefix(state, []byte("T")) {
			return false, nil
		}
	}
	return len(stats) > 0, nil
}

// Resume ends a Pause.
func (s *Server) Resume() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// Restart stops the server and starts it again on the same port, with an empty queue.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Stop()
	if err := s.launch(); err != nil {
		tb.Fatal(err)
	}
}

func (s *Server) running() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

func start(tb testing.TB, path string, args func(port string) []string) *Server {
	tb.Helper()
	var last error
	for range 5 { // another process may take the port between its choice and its use
		addr, err := FreeAddr()
		if err != nil {
			tb.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(addr)
		s := &Server{Addr: addr, path: path, args: args(port), log: new(tail)}
		if last = s.launch(); last == nil {
			tb.Cleanup(s.Stop)
			return s
		}
	}
	tb.Fatal(last)
	return nil
}

// launch starts the process and waits until it responds to "version".
func (s *Server) launch() error {
	cmd := exec.Command(s.path, s.args...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	// A Service named gearmand in a Kubernetes namespace sets GEARMAND_PORT, which gearmand would
	// use as its port and exit.
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "GEARMAND_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.SysProcAttr = diesWithTest()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start job server: %w", err)
	}
	s.cmd, s.done = cmd, make(chan struct{})
	done := s.done
	go func() { // ends with the process, which Stop waits for
		defer close(done)
		_ = cmd.Wait() // it was killed in most cases
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		err := answers(ctx, s.Addr)
		if err == nil && s.running() {
			return nil
		}
		if !s.running() {
			return fmt.Errorf("job server %s %s ended at once: %s", s.path, strings.Join(s.args, " "), s.Log())
		}
		if ctx.Err() != nil {
			s.Stop()
			return fmt.Errorf("job server on %s never answered: %w; its log: %s", s.Addr, err, s.Log())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func answers(ctx context.Context, addr string) error {
	nc, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := nc.Write([]byte("version\n")); err != nil {
		return err
	}
	_, err = bufio.NewReader(nc).ReadString('\n')
	return err
}

// FreeAddr returns an address of this machine, 127.0.0.1:PORT, on which nothing listens, for a
// server that is started later or again. The kernel doesn't assign the port to anybody else: it is
// below the range for connections and for listeners on port 0. Two calls never return the same
// port, nor do two processes that call it at the same time.
func FreeAddr() (string, error) {
	ports.Lock()
	defer ports.Unlock()
	var taken error
	for range 10 * portsInBlock {
		if ports.left == 0 {
			if err := ports.claim(); err != nil {
				return "", err
			}
		}
		addr := loopback(ports.next)
		ports.next, ports.left = ports.next+1, ports.left-1
		if taken = listenAndClose(addr); taken == nil {
			return addr, nil
		}
	}
	return "", fmt.Errorf("find a free port: %w", taken)
}

// listenAndClose prevents processes from starting meanwhile: until a new process runs its own
// program, it would also have the listener, and the port would stay in use for a moment.
func listenAndClose(addr string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return l.Close()
}

// FreeAddr's ports: blocks of portsInBlock from firstPort on.
const (
	firstPort    = 20_000
	portsInBlock = 50
	portBlocks   = 200
)

var ports portBlock

// portBlock is the block of ports that this process assigns from.
type portBlock struct {
	sync.Mutex
	next, left int
	held       []net.Listener // on the first port of each claimed block, for the lifetime of the process
}

// claim takes a block that no other process has: listening on its first port claims the block.
func (b *portBlock) claim() error {
	var taken error
	for _, i := range rand.Perm(portBlocks) {
		first := firstPort + i*portsInBlock
		l, err := net.Listen("tcp", loopback(first))
		if err == nil {
			b.held, b.next, b.left = append(b.held, l), first+1, portsInBlock-1
			return nil
		}
		taken = err
	}
	return fmt.Errorf("find a block of %d ports from %d on: %w", portsInBlock, firstPort, taken)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// find returns the first of the programs that exists; a name without a path must not be Perl's
// program.
func find(paths ...string) string {
	for _, p := range paths {
		if full, err := exec.LookPath(p); err == nil && (filepath.IsAbs(p) || !isPerl(full)) {
			return full
		}
	}
	return ""
}

func isPerl(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	line, _ := bufio.NewReader(f).ReadString('\n')
	return strings.HasPrefix(line, "#!") && strings.Contains(line, "perl")
}

// tail keeps the last bytes written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	if over := t.buf.Len() - 8<<10; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
