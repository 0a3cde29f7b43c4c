package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// size is the size of a run, chosen by BENCH_CLIENT. Without it a small one shows that the
// benchmark works.
type size struct {
	callers             int
	steady, outage, end time.Duration // the phases of the outage
	calls               int           // small ones beside large results
	large, parts        int           // MiB
	refused             time.Duration
}

var sizes = map[string]size{
	"": {
		callers: 50, steady: time.Second, outage: time.Second, end: 2 * time.Second, calls: 100, large: 4, parts: 8,
		refused: 2 * time.Second,
	},
	"full": {
		callers: 1000, steady: 10 * time.Second, outage: 10 * time.Second, end: 15 * time.Second, calls: 2000,
		large: 60, parts: 200, refused: 10 * time.Second,
	},
}

func TestBench(t *testing.T) {
	s, ok := sizes[os.Getenv("BENCH_CLIENT")]
	if !ok {
		t.Fatalf("BENCH_CLIENT=%s is not one of the sizes", os.Getenv("BENCH_CLIENT"))
	}
	result := map[string]any{}
	var report bytes.Buffer
	fmt.Fprintf(
		&report,
		"# The client under stress\n\nOne gearmand on loopback, %d CPUs for it, the workers and the clients.\n",
		runtime.NumCPU(),
	)
	shared := outage(t, &report, s, "one shared client", false)
	apart := outage(t, &report, s, "a client for each call", true)
	result["recovery_s"], result["goodput_after_vs_before_ratio"] = shared.recovery, shared.ratio
	result["recovery_s_connection_for_each_call"] = apart.recovery
	q := besideLarge(t, &report, s, 4) // gearmand's default
	result["p99_ms_alone"], result["p99_ms_beside_large_result"], result["p99_ms_beside_large_result_written"] = q.alone, q.beside, q.streamed
	result["p99_ms_raw_alone"], result["p99_ms_raw_beside_large_result"] = q.rawAlone, q.rawBeside
	many := besideLarge(t, &report, s, manyThreads)
	result["p99_ms_alone_many_threads"], result["p99_ms_beside_large_result_many_threads"] = many.alone, many.beside
	result["p99_beside_large_result_vs_raw_ratio"] = round(q.beside / max(q.rawBeside, 0.01))
	result["heap_mib_slow_consumer"] = slowConsumer(t, &report, s)
	result["connects_per_s_refused"] = refused(t, &report, s)
	line, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("REPORTS"); dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "bench-client.md"), report.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Log("\n" + report.String())
	fmt.Printf("RESULT %s\n", line)
}

func newClient(t *testing.T, addr string, o client.Options) *client.Client {
	t.Helper()
	o.Servers = []string{addr}
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// startWorker runs a worker until the function that it returns is called.
func startWorker(t *testing.T, addr string, concurrency int, handlers map[string]worker.Handler) (stop func()) {
	t.Helper()
	w, err := worker.New(worker.Options{Servers: []string{addr}, Concurrency: concurrency})
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range handlers {
		if err := w.Handle(worker.Function{Name: name, Handler: h}); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- w.Run(context.WithoutCancel(t.Context())) }() // joined by stop
	if err := w.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			_ = w.StopAndCancel(context.Background()) // it never ends
			if err := <-done; err != nil && !errors.Is(err, worker.ErrStopped) {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

type recovered struct{ recovery, ratio float64 }

// outage lets callers use the workers to 80%, each with a time limit of a second, stops the workers
// for a while, and counts the answers of each second.
func outage(t *testing.T, report io.Writer, s size, title string, each bool) recovered {
	addr := jobserver.Gearmand(t, "--threads=4").Addr
	const takes, slots = 10 * time.Millisecond, 16
	handlers := map[string]worker.Handler{"work": func(context.Context, *worker.Job) ([]byte, error) {
		time.Sleep(takes)
		return nil, nil
	}}
	stop := startWorker(t, addr, slots, handlers)
	shared := newClient(t, addr, client.Options{})
	call := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		c := shared
		if each {
			var err error
			if c, err = client.New(client.Options{Servers: []string{addr}}); err != nil {
				return err
			}
			defer c.Close()
		}
		_, err := c.Do(ctx, &client.Task{Function: "work"})
		return err
	}
	// The load follows from a measurement of the machine: the workers' own capacity may be more
	// than the machine has.
	callers := min(s.callers, 1000)
	pause := time.Duration(float64(callers) / (0.8 * slots / takes.Seconds()) * float64(time.Second))
	total := s.steady + s.outage + s.end
	answers := make([]atomic.Int64, int(total.Seconds()*2)+2) // by half second
	ctx, cancel := context.WithTimeout(t.Context(), total)
	defer cancel()
	start := time.Now()
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			next := start.Add(pause * time.Duration(i) / time.Duration(callers))
			for ctx.Err() == nil {
				time.Sleep(time.Until(next))
				next = next.Add(pause)
				if time.Until(next) < -time.Second {
					next = time.Now() // no caller makes up for calls that it could not make
				}
				if call(ctx) == nil {
					answers[min(int(time.Since(start)/(500*time.Millisecond)), len(answers)-1)].Add(1)
				}
			}
		})
	}
	time.Sleep(s.steady)
	stop()
	time.Sleep(s.outage)
	startWorker(t, addr, slots, handlers)
	back := time.Since(start)
	wg.Wait()
	return judge(report, title, answers, s, back, total)
}

func judge(report io.Writer, title string, answers []atomic.Int64, s size, back, total time.Duration) recovered {
	rate := func(from, to time.Duration) float64 { // answers a second in whole halves of a second
		sum, n := 0.0, 0.0
		for i := int(math.Ceil(from.Seconds() * 2)); i < int(to.Seconds()*2); i++ {
			sum += float64(answers[i].Load())
			n += 0.5
		}
		if n == 0 {
			return 0
		}
		return sum / n
	}
	before := rate(s.steady/2, s.steady)
	during := rate(s.steady+time.Second/2, s.steady+s.outage)
	recovery := (total - back).Seconds()
	for at := back; at < total-500*time.Millisecond; at += 500 * time.Millisecond {
		if rate(at, at+time.Second) >= 0.95*before {
			recovery = (at - back).Seconds()
			break
		}
	}
	after := rate(total-s.end/2, total-500*time.Millisecond)
	fmt.Fprintf(report, "\nAn outage of the workers of %v, %s: %.0f answers a second before it, %.0f during it, %.0f after it; recovered after %.1f s.\n",
		s.outage, title, before, during, after, recovery)
	return recovered{recovery: round(recovery), ratio: round(after / max(before, 1))}
}

// quantiles are the 99th percentiles of the durations of small calls, in ms.
type quantiles struct {
	// via the client: alone, beside large results, and beside large ones that are written as they
	// come
	alone, beside, streamed float64
	// via a socket each for small and large calls, which keeps nothing and does nothing else
	rawAlone, rawBeside float64
}

// manyThreads is more than there are connections here, so that each has a thread of gearmand's own.
// A thread reads a packet to its end before it serves its other connections.
const manyThreads = 32

// besideLarge measures small calls alone, and beside large results of another function. It measures
// the same via raw sockets, which shows the part of the job server, the workers and the machine.
func besideLarge(t *testing.T, report io.Writer, s size, threads int) quantiles {
	addr := jobserver.Gearmand(t, fmt.Sprintf("--threads=%d", threads)).Addr
	startWorker(t, addr, 2, map[string]worker.Handler{
		"large": func(_ context.Context, j *worker.Job) ([]byte, error) {
			size := int64(s.large) << 20
			return nil, j.ResultFrom(io.LimitReader(zeros{}, size), size)
		},
	})
	startWorker(
		t, addr, 2,
		map[string]worker.Handler{
			"small": func(context.Context, *worker.Job) ([]byte, error) { return []byte("x"), nil },
		},
	)
	c := newClient(t, addr, client.Options{})
	by := func(result io.Writer) func(string) error {
		return func(function string) error {
			_, err := c.Do(t.Context(), &client.Task{Function: function, ResultTo: result})
			return err
		}
	}
	if err := by(nil)("large"); err != nil { // after its first large result the function is known for them
		t.Fatal(err)
	}
	var q quantiles
	var n, m, k int64
	q.alone = p99(t, s, by(nil))
	q.beside, n = besides(t, s, by(nil), by(nil))
	q.streamed, m = besides(t, s, by(nil), by(io.Discard))
	q.rawAlone = p99(t, s, rawCalls(t, addr))
	q.rawBeside, k = besides(t, s, rawCalls(t, addr), rawCalls(t, addr))
	fmt.Fprintf(
		report, "\nA job server with %d threads: of %d small calls 1%% took longer than %.1f ms; "+
			"beside %d results of %d MiB, than %.1f ms; beside %d that are written as they come, than %.1f ms.\n",
		threads, s.calls, q.alone, n, s.large, q.beside, m, q.streamed,
	)
	fmt.Fprintf(report, "By raw sockets: %.1f ms, and %.1f ms beside %d large results.\n", q.rawAlone, q.rawBeside, k)
	return q
}

// p99 returns the 99th percentile of the durations of small calls.
func p99(t *testing.T, s size, call func(function string) error) float64 {
	t.Helper()
	took := make([]time.Duration, 0, s.calls)
	for range s.calls {
		begin := time.Now()
		if err := call("small"); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(begin))
		time.Sleep(time.Millisecond)
	}
	slices.Sort(took)
	return round(float64(took[len(took)*99/100].Microseconds()) / 1000)
}

// besides returns p99 while large calls follow each other, and the number of large calls.
func besides(t *testing.T, s size, small, large func(function string) error) (float64, int64) {
	t.Helper()
	end := make(chan struct{})
	var n atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
				if err := large("large"); err != nil {
					t.Error(err)
					return
				}
				n.Add(1)
			}
		}
	})
	q := p99(t, s, small)
	close(end)
	wg.Wait()
	return q, n.Load()
}

// rawCalls runs foreground jobs over a connection of its own.
func rawCalls(t *testing.T, addr string) func(function string) error {
	t.Helper()
	nc, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	in := proto.NewReader(nc, proto.Limits{})
	return func(function string) error {
		if _, err := nc.Write(proto.AppendSubmit(nil, proto.TypeSubmitJob, function, "", "")); err != nil {
			return err
		}
		for {
			h, err := in.ReadHeader()
			if err != nil {
				return err
			}
			for in.Rest() > 0 {
				if err := in.Discard(int(in.Rest())); err != nil {
					return err
				}
			}
			switch h.Type {
			case proto.TypeJobCreated:
			case proto.TypeWorkComplete:
				return nil
			default:
				return fmt.Errorf("%s came back", h.Type)
			}
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// slowConsumer reads parts at 20 MiB a second and watches the heap meanwhile.
func slowConsumer(t *testing.T, report io.Writer, s size) float64 {
	addr := jobserver.Gearmand(t, "--threads=4").Addr
	const part = 1 << 20
	startWorker(t, addr, 1, map[string]worker.Handler{"parts": func(_ context.Context, j *worker.Job) ([]byte, error) {
		for range s.parts {
			if err := j.DataFrom(io.LimitReader(zeros{}, part), part); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}})
	c := newClient(t, addr, client.Options{})
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	base, most, got := heap(), 0.0, 0
	if _, err := c.Do(t.Context(), &client.Task{Function: "parts", OnData: func(b []byte) {
		got += len(b)
		time.Sleep(50 * time.Millisecond)
		most = max(most, heap()-base)
	}}); err != nil || got != s.parts*part {
		t.Fatalf("%d bytes, %v", got, err)
	}
	fmt.Fprintf(
		report,
		"\nA reader of %d MiB in parts of 1 MiB that takes at most 20 MiB a second: %.1f MiB of heap at most, beyond what was there.\n",
		s.parts, most,
	)
	return round(most)
}

// refused lets callers hammer a job server that refuses connections, and counts the connects.
func refused(t *testing.T, report io.Writer, s size) float64 {
	srv := jobserver.Gearmand(t)
	srv.Stop()
	var connects, calls atomic.Int64
	c := newClient(
		t, srv.Addr, client.Options{Hooks: client.Hooks{ConnDown: func(client.Conn, error) { connects.Add(1) }}},
	)
	ctx, cancel := context.WithTimeout(t.Context(), s.refused)
	defer cancel()
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := c.Background(
					ctx, &client.Task{Function: "f"},
				); !errors.Is(err, client.ErrNoServer) && ctx.Err() == nil {
					t.Errorf("got %v, want that no server can be reached", err)
				}
				calls.Add(1)
				time.Sleep(time.Millisecond)
			}
		})
	}
	wg.Wait()
	per := round(float64(connects.Load()) / s.refused.Seconds())
	fmt.Fprintf(
		report, "\nA server that refuses: %d calls ended with its last error, %.1f connects a second.\n", calls.Load(),
		per,
	)
	return per
}

func round(v float64) float64 { return math.Round(v*100) / 100 }
