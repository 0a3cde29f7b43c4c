package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const starts = 5

// startAndIdle measures the time from the start of the program until it is registered, in ms, and
// its memory when idle, in MiB.
func (b *bench) startAndIdle() (ms, rss float64, err error) {
	var times []float64
	for range starts {
		cmd := exec.Command(
			b.worker, "exec", "--server", b.addr, "--function", "idle", "--listen", "127.0.0.1:0", "--", "/bin/true",
		)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		log, err := cmd.StderrPipe()
		if err != nil {
			return 0, 0, err
		}
		began := time.Now()
		if err := cmd.Start(); err != nil {
			return 0, 0, err
		}
		lines := bufio.NewScanner(log)
		registered := false
		for !registered && lines.Scan() {
			registered = strings.Contains(lines.Text(), "Worker is registered")
		}
		times = append(times, float64(time.Since(began).Microseconds())/1000)
		time.Sleep(500 * time.Millisecond)
		rss, err = memory(cmd.Process.Pid, "VmRSS")
		p := process{cmd}
		p.stop()
		if !registered {
			return 0, 0, errors.New("the worker ended before it was registered")
		}
		if err != nil {
			return 0, 0, err
		}
	}
	return median(times), rss, nil
}

// memory reads a size from /proc/PID/status, in MiB.
func memory(pid int, field string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), field+":")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	return float64(kib) / 1024, err
}

const (
	largeJobs  = 4
	largeBytes = 64 << 20
)

// largeMemory returns the most memory that a worker used, in MiB, with several large jobs at once:
// their workloads are on disk.
func (b *bench) largeMemory() (float64, error) {
	const function = "large"
	if err := b.fill(function, largeJobs, largeBytes); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "benchworker-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	p, err := start(b.worker, "exec", "--server", b.addr, "--function", function, "--log-level", "error", "--concurrency", fmt.Sprint(largeJobs),
		"--spool-dir", dir, "--", "/bin/sh", "-c", `[ $(wc -c) -eq `+fmt.Sprint(largeBytes)+` ]`)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for limit := time.Now().Add(5 * time.Minute); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		left, err := queued(conn, r, function)
		if err != nil {
			return 0, err
		}
		if left == 0 {
			return memory(p.cmd.Process.Pid, "VmHWM")
		}
	}
	return 0, errors.New("the large jobs were not done after five minutes")
}
