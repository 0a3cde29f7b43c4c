package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// jobProgram begins the name under which this program is a job's command. A script would not do: if
// it is removed between its start and the moment its interpreter opens it, it fails like any other
// script.
const jobProgram = "tool-"

// isJob reports whether this process is a job.
func isJob() bool { return strings.HasPrefix(filepath.Base(os.Args[0]), jobProgram) }

// copyJobProgram copies this program, so that links to it can be made.
func copyJobProgram(dir string) error {
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, jobProgram), data, 0o755)
}

// jobMain is one job: it records its start and its completion, and between them does what its
// workload says.
func jobMain() int {
	workload, err := io.ReadAll(os.Stdin)
	if err != nil {
		return 3
	}
	kind, id, _ := strings.Cut(strings.TrimSpace(string(workload)), " ")
	attempt, err := strconv.Atoi(os.Getenv("GEARMAN_ATTEMPT"))
	if err != nil || id == "" {
		return 3
	}
	if note("S", id) != nil {
		return 3
	}
	switch {
	case kind == "poison":
		fmt.Fprintln(os.Stderr, "poison", id)
		return 1
	case kind == "fail1" && attempt < 2, kind == "fail2" && attempt < 3:
		return 1
	case kind == "crash" && attempt < 2:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	if note("C", id) != nil {
		return 3
	}
	return 0
}

// note appends a line to the book of the worker, in one write.
func note(mark, id string) error {
	f, err := os.OpenFile(os.Getenv("BOOK"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(mark + " " + id + "\n")
	return err
}
