package hostile

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/internal/backlog/backlogtest"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

// behavior is what a hostile job server does with a connection. It returns when it is done with the
// connection.
type behavior struct {
	name  string
	many  bool // names with many addresses lead to it
	serve func(*session)
}

// session is one connection of the operator.
type session struct {
	net.Conn
	in   *bufio.Reader
	stop <-chan struct{}
}

// wait returns false if the benchmark ends.
func (s *session) wait(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-s.stop:
		return false
	}
}

// answers serves commands with the result of answer, and echo requests with their echo.
func answers(answer func(command string) []byte) func(*session) {
	return func(s *session) { backlogtest.Serve(s, answer) }
}

// variants returns one of several texts of about this size, so that the same names don't come twice
// in a row.
func variants(size int, row func(seed uint64, i int) string, end string) func(string) []byte {
	var texts [4][]byte
	for v := range texts {
		seed := rand.Uint64()
		for i := 0; len(texts[v]) < size; i++ {
			texts[v] = append(texts[v], row(seed, i)...)
		}
		texts[v] = append(texts[v], end...)
	}
	return func(string) []byte { return texts[rand.IntN(len(texts))] }
}

// endless writes a text over and over.
func endless(text string) func(*session) {
	block := []byte(strings.Repeat(text, 32<<10/len(text)))
	return func(s *session) {
		if _, err := s.in.Peek(1); err != nil {
			return
		}
		for {
			if _, err := s.Write(block); err != nil {
				return
			}
		}
	}
}

func statusRow(seed uint64, i int) string {
	return fmt.Sprintf("%x-%d-%s\t1\t0\t0\n", seed, i, strings.Repeat("x", 200))
}

// behaviors returns the twelve kinds of hostile job servers. functions are the functions of the
// hostile pools.
func behaviors(functions []string) []behavior {
	hugeNames := variants(3<<20, func(seed uint64, i int) string {
		return fmt.Sprintf("%x-%d%s\t1\t0\t0\n", seed, i, strings.Repeat("x", 60_000))
	}, ".\n")
	bad := variants(1<<20, statusRow, "")
	reports := variants(2<<20, func(seed uint64, i int) string {
		r := telemetry.Report{
			Start: int64(seed >> 24), Full: true, Busy: 1, Capacity: 1, HasFunction: true,
			Function: telemetry.FunctionHash(functions[i%len(functions)]), Counters: telemetry.Counters{OK: int64(i)},
		}
		r.UID, _ = telemetry.ParseUID(fmt.Sprintf("%08x-0000", uint32(seed)+uint32(i)))
		return fmt.Sprintf("%d 127.0.0.1 %s : %s\n", i, r.Append(nil), functions[i%len(functions)])
	}, ".\n")
	garbage := variants(256<<10, func(seed uint64, i int) string {
		return fmt.Sprintf("\x00RES%c\xff\x1b]0;%x\x07\"\\xff\"\u202e\t-1\t%d\tNaN\r\n", i%256, seed, i)
	}, "\x00\x00.\n.\n")
	liar := variants(1, func(_ uint64, _ int) string {
		var b strings.Builder
		for _, f := range functions {
			fmt.Fprintf(&b, "%s\t%d\t%d\t1\n", f, rand.IntN(1_000_000)*rand.IntN(2), rand.IntN(9))
		}
		return b.String()
	}, ".\n")
	return []behavior{
		{"huge names", false, answers(hugeNames)},
		{"many names", false, answers(variants(1<<20, statusRow, ".\n"))},
		{"bad answers", false, func(s *session) {
			if _, err := s.in.Peek(1); err == nil {
				_, _ = s.Write(bad(""))
			}
		}},
		{"endless rows", false, endless("f\t1\t0\t0\n")},
		{"an endless row", false, endless("x")},
		{"reports", false, answers(func(command string) []byte {
			if command == "workers" {
				return reports("")
			}
			return []byte(".\n")
		})},
		{"garbage", false, answers(garbage)},
		{"lies", false, answers(func(command string) []byte {
			if command == "status" {
				return liar("")
			}
			return []byte(".\n")
		})},
		{"hangs", true, func(s *session) { s.wait(time.Hour) }},
		{"flaps", true, func(s *session) { s.wait(time.Duration(rand.IntN(50)) * time.Millisecond) }},
		{"slow", true, func(s *session) {
			for s.wait(100 * time.Millisecond) {
				if _, err := s.Write([]byte("x")); err != nil {
					return
				}
			}
		}},
		{"wrong TLS", false, answers(func(string) []byte { return []byte(".\n") })},
	}
}

// hostileServers are the twelve job servers, each at every address of the loopback network.
type hostileServers struct {
	ports []string // by behavior
	dials atomic.Int64
	wg    sync.WaitGroup
}

func startServers(t *testing.T, kinds []behavior) *hostileServers {
	t.Helper()
	h := &hostileServers{}
	stop := make(chan struct{})
	t.Cleanup(func() { h.wg.Wait() })
	for _, b := range kinds {
		addr, err := jobserver.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		l, err := (&net.ListenConfig{Control: loopbackOnly}).Listen(t.Context(), "tcp4", "0.0.0.0:"+port)
		if err != nil {
			t.Logf("only 127.0.0.1 has a job server: %v", err)
			l, err = net.Listen("tcp4", "127.0.0.1:"+port)
		}
		if err != nil {
			t.Fatal(err)
		}
		if b.name == "wrong TLS" {
			l = tls.NewListener(
				l, &tls.Config{Certificates: []tls.Certificate{kit.NewCA(t).Issue(t, "another.example.com").TLS(t)}},
			)
		}
		t.Cleanup(func() { _ = l.Close() })
		h.ports = append(h.ports, port)
		h.wg.Go(func() { h.accept(l, b, stop) })
	}
	t.Cleanup(func() { close(stop) })
	return h
}

// loopbackOnly makes a socket accept connections only over the loopback device.
func loopbackOnly(_, _ string, c syscall.RawConn) (err error) {
	if e := c.Control(func(fd uintptr) { err = syscall.BindToDevice(int(fd), "lo") }); e != nil {
		return e
	}
	return err
}

func (h *hostileServers) accept(l net.Listener, b behavior, stop <-chan struct{}) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		h.dials.Add(1)
		h.wg.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			h.wg.Go(func() { // whatever it does, it ends with the benchmark
				defer conn.Close()
				select {
				case <-stop:
				case <-ctx.Done():
				}
			})
			defer cancel()
			b.serve(&session{conn, bufio.NewReader(conn), stop})
		})
	}
}
