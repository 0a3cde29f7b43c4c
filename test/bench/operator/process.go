package operator

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// CPU returns the processor time that a process has used, in seconds. The kernel counts it in
// hundredths.
func CPU(t *testing.T, pid int) float64 {
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

// RSS returns the memory of a process, in MiB, or 0 if it has ended and was not waited for.
func RSS(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, running := strings.Cut(string(status), "VmRSS:")
	if !running {
		return 0, nil
	}
	var kib float64
	_, err = fmt.Sscan(rest, &kib)
	return kib / 1024, err
}

// Pause waits as part of a measurement.
func Pause(t *testing.T, d time.Duration) {
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

// Eventually waits until check returns nil.
func Eventually(t *testing.T, limit time.Duration, what string, check func() error) {
	t.Helper()
	for began := time.Now(); ; Pause(t, 100*time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Since(began) > limit {
			t.Fatalf("waited %v for %s: %v", limit, what, err)
		}
	}
}
