package streammode

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// childEnv makes the test binary a child of the pool. It speaks the protocol, badly if the value
// says so.
const childEnv = "STREAMMODE_TEST_CHILD"

func TestMain(m *testing.M) {
	if behaviour := os.Getenv(childEnv); behaviour != "" {
		os.Exit(childMain(behaviour))
	}
	goleak.VerifyTestMain(m)
}

type message struct {
	Type     string `json:"type"`
	ID       uint64 `json:"id"`
	Bytes    int64  `json:"bytes"`
	Function string `json:"function"`
	Handle   string `json:"handle"`
	Unique   string `json:"unique"`
}

func childMain(behaviour string) int {
	in, out := bufio.NewReader(os.NewFile(3, "in")), os.NewFile(4, "out")
	send := func(format string, args ...any) { fmt.Fprintf(out, format, args...) }
	answer := func(id uint64, kind string, body []byte) {
		send(`{"type":%q,"id":%d,"bytes":%d}`+"\n%s", kind, id, len(body), body)
	}
	receive := func() (m message, body []byte, ok bool) {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return m, nil, false
		}
		if err := json.Unmarshal(line, &m); err != nil {
			panic(err)
		}
		body = make([]byte, m.Bytes)
		_, err = io.ReadFull(in, body)
		return m, body, err == nil
	}
	receive()
	if file, ok := strings.CutPrefix(behaviour, "dies without "); ok {
		if _, err := os.Stat(file); err != nil {
			return 255
		}
	}
	switch behaviour {
	case "dies at start":
		fmt.Fprintln(os.Stderr, "PHP Parse error")
		return 255
	case "future":
		send(`{"type":"ready","version":9}` + "\n")
		time.Sleep(time.Hour)
	case "prints at start":
		send("hello world\n")
		time.Sleep(time.Hour)
	case "silent":
		time.Sleep(time.Hour)
	}
	send(`{"type":"ready","version":1}` + "\n")
	for {
		m, body, ok := receive()
		if !ok {
			if behaviour == "ignores the end" {
				time.Sleep(time.Hour)
			}
			return 0
		}
		if m.Type == "ping" {
			if behaviour == "deaf" {
				time.Sleep(time.Hour)
			}
			send(`{"type":"pong","id":%d}`+"\n", m.ID)
			continue
		}
		what, rest, _ := strings.Cut(string(body), " ")
		switch what {
		case "pid":
			answer(m.ID, "complete", fmt.Append(nil, os.Getpid()))
		case "meta":
			answer(m.ID, "complete", fmt.Appendf(nil, "%s %s %s", m.Function, m.Handle, m.Unique))
		case "progress":
			send(`{"type":"status","id":%d,"numerator":1,"denominator":2}`+"\n", m.ID)
			answer(m.ID, "data", []byte("part"))
			answer(m.ID, "warning", []byte("careful"))
			answer(m.ID, "complete", nil)
		case "fail":
			answer(m.ID, "fail", []byte(rest))
		case "print":
			fmt.Println("on stdout")
			fmt.Fprintln(os.Stderr, "on stderr")
			time.Sleep(50 * time.Millisecond)
			answer(m.ID, "complete", nil)
		case "crash":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			time.Sleep(time.Hour)
		case "exit":
			return 3
		case "complete-and-exit":
			answer(m.ID, "complete", []byte("bye"))
			return 0
		case "garbage":
			send("PHP Notice: undefined index\n")
		case "endless":
			for {
				send("%s", strings.Repeat("x", 10000))
			}
		case "partial-header":
			send(`{"type":"complete",`)
			return 0
		case "partial-body":
			send(`{"type":"complete","id":%d,"bytes":100}`+"\nshort", m.ID)
			return 0
		case "lies":
			send(`{"type":"complete","id":%d,"bytes":1000000000000}`+"\n", m.ID)
		case "negative":
			send(`{"type":"complete","id":%d,"bytes":-1}`+"\n", m.ID)
		case "double":
			answer(m.ID, "complete", nil)
			answer(m.ID, "complete", []byte("forged"))
		case "stale":
			answer(m.ID-1, "complete", []byte("of an earlier job"))
		case "unknown":
			answer(m.ID, "finished", nil)
		case "hang":
			send(`{"type":"status","id":%d,"numerator":0,"denominator":1}`+"\n", m.ID)
			time.Sleep(time.Hour)
		case "grandchild":
			cmd := exec.Command("sleep", "1000")
			cmd.ExtraFiles = []*os.File{os.NewFile(3, ""), os.NewFile(4, "")}
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
			if err := cmd.Start(); err != nil {
				panic(err)
			}
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		default:
			answer(m.ID, "complete", bytes.ToUpper(body))
		}
	}
}
