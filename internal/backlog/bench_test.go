package backlog

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/internal/resolve"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

// canned is a connection that answers every request with the same bytes at once, so that a
// benchmark measures only the poller.
type canned struct {
	net.Conn
	answer []byte
	whole  []byte
	left   bytes.Reader
}

func (c *canned) Write(b []byte) (int, error) {
	echo := bytes.Clone(b[bytes.IndexByte(b, 0):])
	copy(echo, proto.AppendEcho(nil, proto.Response, "")[:8])
	c.whole = append(append(c.whole[:0], c.answer...), echo...)
	c.left.Reset(c.whole)
	return len(b), nil
}
func (c *canned) Read(b []byte) (int, error)      { return c.left.Read(b) }
func (c *canned) SetDeadline(time.Time) error     { return nil }
func (c *canned) SetReadDeadline(time.Time) error { return nil }

// benchServer returns a server as its poller has it, with pools.
func benchServer(b *testing.B, pools, podsPerPool int, answer []byte) *poller {
	b.Helper()
	w := New(Options{})
	for i := range pools {
		key := PoolKey{"ns", fmt.Sprintf("pool-%d", i)}
		if err := w.Set(
			key, Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{fmt.Sprintf("function-%d", i)}},
		); err != nil {
			b.Fatal(err)
		}
		var pods []PodRef
		for j := range podsPerPool {
			n := i*podsPerPool + j
			pods = append(
				pods,
				PodRef{
					UID: fmt.Sprintf("%08x-0000", n), Name: fmt.Sprintf("pool-%d-pod-%d", i, j),
					IP: fmt.Sprintf("10.1.%d.%d", n/250, n%250),
				},
			)
		}
		w.SetPods(key, pods)
	}
	for _, s := range w.servers {
		return &poller{server: s, conn: &canned{answer: answer}}
	}
	b.Fatal("no server")
	return nil
}

// One `status` of 10,000 functions, as many pools want them.
func BenchmarkStatus10000Functions(b *testing.B) {
	for _, pools := range []int{1, 1000, 10_000} {
		b.Run(fmt.Sprintf("pools=%d", pools), func(b *testing.B) {
			var answer bytes.Buffer
			for i := range 10_000 {
				fmt.Fprintf(&answer, "function-%d\t%d\t%d\t%d\n", i, i, i%7, i%9)
			}
			answer.WriteString(".\n")
			p := benchServer(b, pools, 0, answer.Bytes())
			b.ReportAllocs()
			b.SetBytes(int64(answer.Len()))
			for b.Loop() {
				if err := p.poll(false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// One `workers` of 5,000 connections: all of them our pods, or nobody's.
func BenchmarkWorkers5000Connections(b *testing.B) {
	for name, ours := range map[string]bool{"ours": true, "foreign": false} {
		b.Run(name, func(b *testing.B) {
			var answer bytes.Buffer
			start := time.Now()
			for i := range 5000 {
				id := []byte("-")
				if ours {
					r := telemetry.Report{
						Start: start.UnixMilli(), Full: true, Busy: i % 2, Capacity: 1, HasFunction: true,
						Function: telemetry.FunctionHash(fmt.Sprintf("function-%d", i/50)),
						Pod:      fmt.Appendf(nil, "pool-%d-pod-%d", i/50, i%50),
					}
					r.UID, _ = telemetry.ParseUID(fmt.Sprintf("%08x", i))
					id = r.Append(nil)
				}
				fmt.Fprintf(&answer, "%d 10.1.%d.%d %s : function-%d\n", i+30, i/250, i%250, id, i/50)
			}
			answer.WriteString(".\n")
			p := benchServer(b, 100, 50, answer.Bytes())
			b.ReportAllocs()
			b.SetBytes(int64(answer.Len()))
			for b.Loop() {
				if err := p.workers(); err != nil {
					b.Fatal(err)
				}
			}
			for _, pool := range p.w.pools {
				if pool.pods[0].start != 0 != ours {
					b.Fatal("telemetry was not taken as meant")
				}
			}
		})
	}
}

func BenchmarkSample(b *testing.B) {
	p := benchServer(b, 1000, 2, nil)
	key := PoolKey{"ns", "pool-7"}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := p.w.Sample(key, now); !ok {
			b.Fatal("no sample")
		}
	}
}

// The memory of 10,000 pools on ten job servers.
func BenchmarkMemory10000Pools(b *testing.B) {
	for b.Loop() {
		w := New(Options{})
		before := heap()
		for i := range 10_000 {
			key := PoolKey{fmt.Sprintf("ns-%d", i%100), fmt.Sprintf("pool-%d", i)}
			sub := Subscription{
				Servers: []string{fmt.Sprintf("10.0.0.%d", i%10)}, Functions: []string{fmt.Sprintf("function-%d", i)},
			}
			if err := w.Set(key, sub); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heap()-before)/10_000, "bytes/pool")
		if got := w.Entries()["watchedPools"]; got != 10_000 {
			b.Fatal(got)
		}
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkRelink measures what a changed answer of the name server costs a pool that names thousands
// of addresses.
func BenchmarkRelink(b *testing.B) {
	w := New(Options{})
	sub := Subscription{Functions: []string{"f"}}
	for i := range 60 {
		sub.Servers = append(sub.Servers, fmt.Sprintf("name-%d", i))
	}
	if err := w.Set(poolA, sub); err != nil {
		b.Fatal(err)
	}
	p := w.pools[poolA]
	for i, t := range p.targets {
		var addrs []netip.Addr
		for j := range 64 {
			addrs = append(addrs, netip.AddrFrom4([4]byte{10, 1, byte(i), byte(j)}))
		}
		t.addrs = resolve.Pack(addrs...)
		t.state = StateOK
	}
	w.relink(p)
	b.ReportAllocs()
	for b.Loop() {
		w.relink(p)
	}
}

// BenchmarkSilentServers measures the stack that each poll of a silent job server keeps. It is for
// -benchtime 1x: a second iteration reuses the stacks of the first.
func BenchmarkSilentServers(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	const servers = 200
	sub := Subscription{Functions: []string{"f"}}
	for i := range servers {
		sub.Servers = append(sub.Servers, fmt.Sprintf("10.0.0.%d", i+1))
	}
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		w := New(Options{Dial: func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		}})
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = w.Run(ctx) }()
		if err := w.Set(poolA, sub); err != nil {
			b.Fatal(err)
		}
		for range servers {
			c, err := l.Accept()
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Read(make([]byte, 1)); err != nil { // the request has come
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/servers, "stack-B/server")
		cancel()
		<-done
	}
}
