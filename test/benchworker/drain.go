package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

const function = "bench"

type bench struct {
	worker      string
	rounds      int
	execJobs    int
	messageJobs int

	server *process
	addr   string
}

// process is a program that this one started.
type process struct{ cmd *exec.Cmd }

func start(args ...string) (*process, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &process{cmd}, nil
}

// stop ends the process and returns the processor time that it and its children used.
func (p *process) stop() time.Duration {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait() // it was told to end; its exit status doesn't matter
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

func (b *bench) startServer() error {
	path := "/usr/sbin/gearmand"
	if _, err := os.Stat(path); err != nil {
		return errors.New("gearmand is not installed: apt-get install gearman-job-server")
	}
	if _, err := exec.LookPath("gearman"); err != nil {
		return errors.New("libgearman's command is not installed: apt-get install gearman-tools")
	}
	var err error
	if b.addr, err = jobserver.FreeAddr(); err != nil {
		return err
	}
	_, port, _ := strings.Cut(b.addr, ":")
	if b.server, err = start(
		path, "--listen=127.0.0.1", "--port="+port, "--config-file=/dev/null", "--log-file=none", "--verbose=ERROR",
	); err != nil {
		return err
	}
	return await(b.addr)
}

func (b *bench) stopServer() { b.server.stop() }

func await(addr string) error {
	for range 200 {
		if c, err := net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("nobody listens on %s", addr)
}

func startService(self string) (*process, string, error) {
	addr, err := jobserver.FreeAddr()
	if err != nil {
		return nil, "", err
	}
	p, err := start(self, "echo-service", addr)
	if err != nil {
		return nil, "", err
	}
	if err := await(addr); err != nil {
		p.stop()
		return nil, "", err
	}
	return p, "http://" + addr + "/", nil
}

// contestant is one way to process jobs: the programs that serve the queue together.
type contestant struct {
	name     string
	jobs     int
	commands [][]string
}

// drain fills the queue, starts the contestant and times it from its first finished job to the
// last. It returns jobs a second, and processor time a job in microseconds.
func (b *bench) drain(c contestant) (rate, cpu float64, err error) {
	if err := b.fill(function, c.jobs, 100); err != nil {
		return 0, 0, err
	}
	var workers []*process
	for _, command := range c.commands {
		p, err := start(command...)
		if err != nil {
			return 0, 0, err
		}
		workers = append(workers, p)
	}
	defer func() {
		var used time.Duration
		for _, p := range workers {
			used += p.stop()
		}
		cpu = float64(used.Microseconds()) / float64(c.jobs)
	}()
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	var began time.Time
	var first int
	limit := time.Now().Add(5 * time.Minute)
	for time.Now().Before(limit) {
		left, err := queued(conn, r, function)
		if err != nil {
			return 0, 0, err
		}
		now := time.Now()
		switch {
		case left == 0:
			if began.IsZero() {
				return 0, 0, errors.New("too few jobs to measure")
			}
			return float64(first) / now.Sub(began).Seconds(), 0, nil
		case began.IsZero() && left < c.jobs:
			began, first = now, left
		}
		time.Sleep(2 * time.Millisecond)
	}
	return 0, 0, errors.New("the queue was not empty after five minutes")
}

// fill queues n jobs of the function with a workload of size bytes each.
func (b *bench) fill(function string, n, size int) error {
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	data := append([]byte(function+"\x00\x00"), make([]byte, size)...)
	packet := binary.BigEndian.AppendUint32([]byte("\x00REQ"), 18) // SUBMIT_JOB_BG
	packet = append(binary.BigEndian.AppendUint32(packet, uint32(len(data))), data...)
	failed := make(chan error, 1)
	go func() {
		w := bufio.NewWriterSize(c, 64<<10)
		for range n {
			if _, err := w.Write(packet); err != nil {
				failed <- err
				return
			}
		}
		failed <- w.Flush()
	}()
	r := bufio.NewReader(c)
	for range n {
		var head [12]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		if _, err := r.Discard(int(binary.BigEndian.Uint32(head[8:]))); err != nil {
			return err
		}
	}
	return <-failed
}

// queued returns how many jobs of the function the job server reports.
func queued(c net.Conn, r *bufio.Reader, function string) (int, error) {
	if _, err := io.WriteString(c, "status\n"); err != nil {
		return 0, err
	}
	total := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == ".\n" {
			return total, err
		}
		if f := strings.Split(line, "\t"); f[0] == function {
			if total, err = strconv.Atoi(f[1]); err != nil {
				return 0, err
			}
		}
	}
}
