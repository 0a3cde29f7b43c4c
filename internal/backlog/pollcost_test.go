package backlog

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

// TestPollCost measures on a real gearmand what a poll costs both sides, and how soon a pool at
// zero gets a job. It is `make bench-poll`.
func TestPollCost(t *testing.T) {
	report := os.Getenv("BENCH_POLL_REPORT")
	if report == "" {
		t.Skip("a measurement: make bench-poll")
	}
	result := map[string]float64{}
	measureWorkers(t, result)
	measureStatus(t, result)
	measureRest(t, result)
	measureNews(t, result, "poll", false, 30)
	measureNews(t, result, "doorbell", true, 30)
	line, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	text.WriteString(
		"# What a poll costs\n\nOn gearmand over loopback, both on one machine.\n\n| figure | value |\n|---|--:|\n",
	)
	for _, k := range slices.Sorted(func(yield func(string) bool) {
		for k := range result {
			if !yield(k) {
				return
			}
		}
	}) {
		fmt.Fprintf(&text, "| %s | %.3f |\n", k, result[k])
	}
	if err := os.MkdirAll(filepath.Dir(report), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(report, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("RESULT %s\n", line)
}

const (
	benchWorkers   = 5000
	benchFunctions = 10_000
	benchPolls     = 50
)

// polled measures f, run benchPolls times, on a poller of the only server.
func measurePolls(
	t *testing.T, result map[string]float64, name string, srv *jobserver.Server, p *poller, f func() error,
) {
	t.Helper()
	if err := f(); err != nil { // not counted: buffers, first sight of pods
		t.Fatal(err)
	}
	times := make([]float64, benchPolls)
	bytes, own, theirs := p.stats.bytes, ownCPU(t), cpu(t, srv.PID())
	for i := range times {
		began := time.Now()
		if err := f(); err != nil {
			t.Fatal(err)
		}
		times[i] = time.Since(began).Seconds() * 1000
	}
	result[name+"_bytes"] = float64(p.stats.bytes-bytes) / benchPolls
	result[name+"_operator_cpu_ms"] = (ownCPU(t) - own) / benchPolls
	result[name+"_gearmand_cpu_ms"] = (cpu(t, srv.PID()) - theirs) / benchPolls
	result[name+"_p50_ms"], result[name+"_p99_ms"] = quantile(times, 0.5), quantile(times, 0.99)
}

// realPoller is a poller of a server, driven by hand.
func realPoller(t *testing.T, w *Watcher, addr string) *poller {
	t.Helper()
	for _, s := range w.servers {
		if s.key.addr.String() == addr {
			conn, err := s.dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			return &poller{server: s, conn: conn}
		}
	}
	t.Fatal("no such server")
	return nil
}

func measureWorkers(t *testing.T, result map[string]float64) {
	t.Helper()
	srv := jobserver.Gearmand(t, "--file-descriptors=12000", "--backlog=4096")
	w := New(Options{AddressPolicy: allowAll})
	now := time.Now()
	for i := range benchWorkers {
		key, function := PoolKey{"ns", fmt.Sprintf("pool-%d", i/50)}, fmt.Sprintf("function-%d", i/50)
		uid := fmt.Sprintf("%08x", i)
		if i%50 == 0 {
			set(t, w, key, Subscription{Servers: []string{srv.Addr}, Functions: []string{function}})
			var pods []PodRef
			for j := range 50 {
				pods = append(pods, PodRef{UID: fmt.Sprintf("%08x", i+j), Name: fmt.Sprintf("%s-pod-%d", key.Name, j)})
			}
			w.SetPods(key, pods)
		}
		r := telemetry.Report{
			Start: now.UnixMilli(), Full: true, Busy: i % 2, Capacity: 1, HasFunction: true,
			Function: telemetry.FunctionHash(function),
			Counters: telemetry.Counters{OK: 123, OKMillis: 456789, BusyMillis: 456789},
			Pod:      fmt.Appendf(nil, "%s-pod-%d", key.Name, i%50),
		}
		r.UID, _ = telemetry.ParseUID(uid)
		c := dialReal(t, srv.Addr)
		c.send(proto.AppendCanDo(proto.AppendSetClientID(nil, r.Append(nil)), function))
		if i%20 == 19 {
			c.do(proto.AppendEcho(nil, proto.Request, "x")) // no faster than the server can take them
		}
	}
	time.Sleep(time.Second)
	p := realPoller(t, w, srv.Addr)
	measurePolls(t, result, "workers_5000", srv, p, p.workers)
	seen := 0
	for _, pool := range w.pools {
		for _, q := range pool.pods {
			if q.start != 0 {
				seen++
			}
		}
	}
	if seen != benchWorkers {
		t.Fatalf("telemetry of %d pods", seen)
	}
}

func measureStatus(t *testing.T, result map[string]float64) {
	t.Helper()
	srv := jobserver.Gearmand(t)
	w := New(Options{AddressPolicy: allowAll})
	c := dialReal(t, srv.Addr)
	for i := range benchFunctions {
		f := fmt.Sprintf("function-%d", i)
		set(t, w, PoolKey{"ns", f}, Subscription{Servers: []string{srv.Addr}, Functions: []string{f}})
		c.submit(f)
	}
	p := realPoller(t, w, srv.Addr)
	measurePolls(t, result, "status_10000", srv, p, func() error { return p.poll(false) })
	if s := sample(t, w, PoolKey{"ns", "function-77"}); s.Functions[0].Total != 1 {
		t.Fatalf("%+v", s)
	}
}

// measureRest measures 10,000 idle pools on ten gearmands: nine of ten pools at zero, the others
// with two pods each that send telemetry.
func measureRest(t *testing.T, result map[string]float64) {
	t.Helper()
	const pools, servers, during = 10_000, 10, 30 * time.Second
	var ticks atomic.Int64
	var w *Watcher
	before := heap()
	w = watchReal(t, Options{MinPeriod: time.Second, OnTick: func(keys []PoolKey, _ bool) {
		now := time.Now()
		for _, k := range keys {
			if _, ok := w.Sample(k, now); ok {
				ticks.Add(1)
			}
		}
	}})
	var addrs []string
	for range servers {
		addrs = append(addrs, jobserver.Gearmand(t, "--backlog=4096").Addr)
	}
	now := time.Now()
	for i := range pools {
		key, function := PoolKey{"ns", fmt.Sprintf("pool-%d", i)}, fmt.Sprintf("function-%d", i)
		addr := addrs[i%servers]
		atZero := i/servers%10 != 0
		set(t, w, key, Subscription{Servers: []string{addr}, Functions: []string{function}, AtZero: atZero})
		if atZero {
			continue
		}
		var pods []PodRef
		for j := range 2 {
			pods = append(
				pods,
				PodRef{UID: fmt.Sprintf("%08x", 2*i+j), Name: fmt.Sprintf("%s-pod-%d", key.Name, j), IP: "127.0.0.1"},
			)
			r := telemetry.Report{
				Start: now.UnixMilli(), Full: true, Capacity: 1, HasFunction: true,
				Function: telemetry.FunctionHash(function),
				Pod:      fmt.Appendf(nil, "%s-pod-%d", key.Name, j),
			}
			r.UID, _ = telemetry.ParseUID(pods[j].UID)
			dialReal(t, addr).send(proto.AppendCanDo(proto.AppendSetClientID(nil, r.Append(nil)), function))
		}
		w.SetPods(key, pods)
	}
	time.Sleep(15 * time.Second)
	requests := func() (n uint64) {
		for _, s := range w.allServers() {
			n += s.Requests
		}
		return n
	}
	ticked, asked, used := ticks.Load(), requests(), ownCPU(t)
	time.Sleep(during)
	result["rest_10000_pools_operator_cores"] = (ownCPU(t) - used) / 1000 / during.Seconds()
	result["rest_10000_pools_requests_per_s"] = float64(requests()-asked) / during.Seconds()
	result["rest_10000_pools_ticks_per_s"] = float64(ticks.Load()-ticked) / during.Seconds()
	result["rest_10000_pools_heap_mib"] = float64(heap()-before) / (1 << 20)
	if s := sample(t, w, PoolKey{"ns", "pool-0"}); s.Partial || len(s.Pods) != 2 {
		t.Fatalf("%+v", s)
	}
}

// measureNews submits jobs for pools at zero, one after the other, and measures until OnTick passes
// the pool with the job in its sample.
func measureNews(t *testing.T, result map[string]float64, name string, bell bool, n int) {
	t.Helper()
	srv := jobserver.Gearmand(t)
	arrived := make(chan time.Time, 1)
	var w *Watcher
	w = watchReal(t, Options{MinPeriod: time.Second, OnTick: func(keys []PoolKey, _ bool) {
		for _, k := range keys {
			if s, ok := w.Sample(k, time.Now()); ok && s.Functions[0].Total > 0 {
				select {
				case arrived <- time.Now():
				default:
				}
			}
		}
	}})
	c := dialReal(t, srv.Addr)
	addr := netip.MustParseAddrPort(srv.Addr)
	times := make([]float64, n)
	set(
		t, w, poolA,
		Subscription{
			Servers: []string{srv.Addr}, Functions: []string{"another"}, AtZero: true, Doorbell: bell,
			Period: time.Minute,
		},
	)
	for i := range times {
		key := PoolKey{"ns", strconv.Itoa(i)}
		f := fmt.Sprintf("function-%d", i)
		set(
			t, w, key,
			Subscription{
				Servers: []string{addr.String()}, Functions: []string{f}, AtZero: true, Doorbell: bell,
				Period: time.Minute,
			},
		)
		// The doorbell needs a poll to know the function, and is armed at most once a second. Then:
		// at all phases of the polls.
		time.Sleep(2500*time.Millisecond + time.Duration(i%10)*100*time.Millisecond)
		select {
		case <-arrived: // of the pool before
		default:
		}
		if err := c.conn.SetDeadline(time.Now().Add(waitLimit)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		c.submit(f)
		select {
		case at := <-arrived:
			times[i] = at.Sub(began).Seconds() * 1000
		case <-time.After(waitLimit):
			t.Fatalf("%s: no news of a job", name)
		}
		w.Remove(key)
	}
	result["submit_to_tick_"+name+"_p50_ms"], result["submit_to_tick_"+name+"_p99_ms"] = quantile(times, 0.5), quantile(
		times, 0.99,
	)
}

func quantile(v []float64, q float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[min(len(v)-1, int(q*float64(len(v))))]
}

// cpu is the processor time that a process has used, in ms; the kernel counts it in hundredths of a
// second.
func cpu(t *testing.T, pid int) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return float64(user+system) * 10
}

func ownCPU(t *testing.T) float64 {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
}
