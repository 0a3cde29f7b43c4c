package gearman

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// size is the size of a run, chosen by the environment variable GEARMAN_BENCH. Without it a small
// one shows that the benchmark works.
type size struct {
	rounds, submit, foreground, work1, work, cli int
}

var sizes = map[string]size{
	"":     {rounds: 1, submit: 2000, foreground: 50, work1: 200, work: 500, cli: 100},
	"full": {rounds: 5, submit: 100_000, foreground: 4000, work1: 10_000, work: 40_000, cli: 5000},
}

// figures collects the rounds of each figure.
type figures map[string][]float64

func (f figures) add(name string, v float64) { f[name] = append(f[name], v) }

func (f figures) median(name string) float64 {
	v := slices.Clone(f[name])
	slices.Sort(v)
	return v[len(v)/2]
}

// ratio compares two figures by the ratios of their rounds, that is, of measurements made close
// together.
func (f figures) ratio(a, b string) spread {
	var r []float64
	for i := range f[a] {
		r = append(r, f[a][i]/f[b][i])
	}
	slices.Sort(r)
	return spread{median: r[len(r)/2], least: r[0], most: r[len(r)-1]}
}

// spread is the median of the rounds, with their minimum and maximum.
type spread struct{ median, least, most float64 }

func (s spread) String() string { return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median, s.least, s.most) }

// lowest returns the spread with the lowest median.
func lowest(all ...spread) spread {
	return slices.MinFunc(all, func(a, b spread) int { return cmp.Compare(a.median, b.median) })
}

func TestBench(t *testing.T) {
	s, ok := sizes[os.Getenv("GEARMAN_BENCH")]
	if !ok {
		t.Fatalf("GEARMAN_BENCH=%s is not one of the sizes", os.Getenv("GEARMAN_BENCH"))
	}
	srv := jobserver.Gearmand(t, "--threads=4")
	payload := bytes.Repeat([]byte("x"), 100)
	f := figures{}
	for round := range s.rounds {
		if round > 0 {
			srv.Restart(t) // with an empty queue
		}
		for _, window := range []int{64, 1000} {
			task := client.Task{Function: "submit", Payload: payload, NoKey: true, Background: true}
			n := s.submit / turns
			raw, ours := inTurns(
				turns, round,
				func() time.Duration { return rawSubmit(t, srv.Addr, "submit", payload, n, window) },
				func() time.Duration { return ourSubmit(t, srv.Addr, task, n, window) },
			)
			f.add(fmt.Sprint("raw_submit_", window), rate(n*turns, raw))
			f.add(fmt.Sprint("submit_", window), rate(n*turns, ours))
		}
		// The jobs have keys of their own, as background jobs have by default.
		f.add(
			"submit_keyed",
			rate(
				s.submit,
				ourSubmit(
					t, srv.Addr, client.Task{Function: "keyed", Payload: payload, Background: true}, s.submit, 1000,
				),
			),
		)
		foreground(t, f, srv.Addr, payload, s.foreground, round)
		for _, conns := range []int{1, 4, 16} {
			n := s.work
			if conns == 1 {
				n = s.work1
			}
			worked(t, f, srv.Addr, payload, n, conns, round)
		}
		cli(t, f, srv.Addr, s.cli, payload)
	}
	report(t, f, s)
}

// inTurn runs a before b, or b before a, so that neither always has the fresher job server.
func inTurn(round int, a, b func()) {
	if round%2 == 1 {
		a, b = b, a
	}
	a()
	b()
}

// turns is the number of turns into which a round of submits or of foreground jobs is split. Other
// work on the machine, and how many of the sleeping workers gearmand wakes for each foreground job,
// change the speed of both sides from one tenth of a second to the next. Jobs worked have fewer
// turns, each with new connections.
const (
	turns       = 20
	workedTurns = 8
)

// inTurns runs a and b n times each, and adds up their times.
func inTurns(n, round int, a, b func() time.Duration) (tookA, tookB time.Duration) {
	for turn := range n {
		inTurn(round+turn, func() { tookA += a() }, func() { tookB += b() })
	}
	return tookA, tookB
}

func rate(n int, d time.Duration) float64 { return float64(n) / d.Seconds() }

func newClient(t *testing.T, addr string, window int) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Servers: []string{addr}, ConnectTimeout: 10 * time.Second, MaxPending: window})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Echo(t.Context(), nil); err != nil { // connected, like the raw socket
		t.Fatal(err)
	}
	return c
}

func ourSubmit(t *testing.T, addr string, task client.Task, n, window int) time.Duration {
	t.Helper()
	c := newClient(t, addr, window)
	defer c.Close()
	start := time.Now()
	for range n {
		c.Produce(t.Context(), &task, nil)
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

func foreground(t *testing.T, f figures, addr string, payload []byte, n, round int) {
	t.Helper()
	stop := rawEcho(t, addr, "echo", 4)
	defer stop()
	rc := rawDial(t, addr)
	defer rc.nc.Close()
	c := newClient(t, addr, 0)
	defer c.Close()
	n /= turns
	raw, ours := inTurns(
		turns, round,
		func() time.Duration { return rawForeground(t, rc, "echo", payload, n) },
		func() time.Duration {
			start := time.Now()
			for range n {
				if _, err := c.Do(t.Context(), &client.Task{Function: "echo", Payload: payload}); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(start)
		},
	)
	f.add("raw_foreground_us", float64(raw.Microseconds())/float64(n*turns))
	f.add("foreground_us", float64(ours.Microseconds())/float64(n*turns))
}

func worked(t *testing.T, f figures, addr string, payload []byte, n, conns, round int) {
	t.Helper()
	n /= workedTurns
	var allocs float64
	raw, ours := inTurns(
		workedTurns, round,
		func() time.Duration {
			rawSubmit(t, addr, "work", payload, n, 1000)
			jobs, took := rawWork(t, addr, "work", conns)
			if jobs != n {
				t.Fatalf("%d jobs worked of %d", jobs, n)
			}
			return took
		},
		func() time.Duration {
			rawSubmit(t, addr, "work", payload, n, 1000)
			took, each := ourWork(t, addr, "work", n, conns)
			allocs += each / workedTurns
			return took
		},
	)
	f.add(fmt.Sprint("raw_worked_", conns), rate(n*workedTurns, raw))
	f.add(fmt.Sprint("worked_", conns), rate(n*workedTurns, ours))
	f.add(fmt.Sprint("allocs_", conns), allocs)
}

// ourWork processes n queued jobs over connections that are open before, like the raw sockets, and
// measures until the last handler's call.
func ourWork(t *testing.T, addr, function string, n, conns int) (time.Duration, float64) {
	t.Helper()
	w, err := worker.New(worker.Options{Servers: []string{addr}, Concurrency: conns})
	if err != nil {
		t.Fatal(err)
	}
	var count atomic.Int64
	var start time.Time
	var before, after runtime.MemStats
	var end time.Duration
	err = w.Handle(worker.Function{Name: function, Handler: func(ctx context.Context, _ *worker.Job) ([]byte, error) {
		if count.Add(1) == int64(n) {
			end = time.Since(start)
			runtime.ReadMemStats(&after)
			return nil, w.Stop(ctx) // called in the worker's own handler, so it doesn't wait
		}
		return nil, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Admit(0, function); err != nil {
		t.Fatal(err)
	}
	run := make(chan error, 1)
	go func() { run <- w.Run(t.Context()) }() // joined below
	for all := false; !all; time.Sleep(time.Millisecond) {
		st := w.Status()
		all = len(st.Servers) == 1 && st.Servers[0].Registered == conns
	}
	runtime.ReadMemStats(&before)
	start = time.Now()
	if err := w.Admit(worker.AllSlots, function); err != nil {
		t.Fatal(err)
	}
	if err := <-run; err != nil {
		t.Fatal(err)
	}
	return end, float64(after.Mallocs-before.Mallocs) / float64(n)
}

// cli measures libgearman's program: submissions from one process, and its built-in worker.
func cli(t *testing.T, f figures, addr string, n int, payload []byte) {
	t.Helper()
	path, err := exec.LookPath("gearman")
	if err != nil {
		t.Fatal("libgearman's program is not installed: run `make deps`, or `apt-get install gearman-tools`")
	}
	host, port, _ := strings.Cut(addr, ":")
	run := func(stdin []byte, args ...string) time.Duration {
		cmd := exec.CommandContext(t.Context(), path, append([]string{"-h", host, "-p", port}, args...)...)
		cmd.Stdin = bytes.NewReader(stdin)
		start := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("gearman %v: %v: %.300s", args, err, out)
		}
		return time.Since(start)
	}
	lines := bytes.Repeat(append(bytes.Clone(payload), '\n'), n)
	f.add("cli_submit", rate(n, run(lines, "-b", "-N", "-f", "cli")))
	f.add("cli_worked", rate(n, run(nil, "-w", "-c", strconv.Itoa(n), "-f", "cli")))
}

func report(t *testing.T, f figures, s size) {
	t.Helper()
	submitRatio := lowest(f.ratio("submit_64", "raw_submit_64"), f.ratio("submit_1000", "raw_submit_1000"))
	workedRatio := lowest(
		f.ratio("worked_1", "raw_worked_1"), f.ratio("worked_4", "raw_worked_4"), f.ratio("worked_16", "raw_worked_16"),
	)
	foregroundRatio := f.ratio("raw_foreground_us", "foreground_us")
	allocs := max(f.median("allocs_1"), f.median("allocs_4"), f.median("allocs_16"))
	result := map[string]any{
		"submit_per_s":            round(f.median("submit_1000")),
		"submit_window64_per_s":   round(f.median("submit_64")),
		"submit_keyed_per_s":      round(f.median("submit_keyed")),
		"submit_vs_raw_ratio":     round(submitRatio.median),
		"submit_vs_raw_least":     round(submitRatio.least),
		"foreground_us":           round(f.median("foreground_us")),
		"foreground_vs_raw_ratio": round(foregroundRatio.median),
		"foreground_vs_raw_least": round(foregroundRatio.least),
		"worked_per_s":            round(f.median("worked_16")),
		"worked_vs_raw_ratio":     round(workedRatio.median),
		"worked_vs_raw_least":     round(workedRatio.least),
		"cli_submit_per_s":        round(f.median("cli_submit")),
		"cli_worked_per_s":        round(f.median("cli_worked")),
		"allocs_per_job":          round(allocs),
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# The Gearman library beside a raw socket and libgearman\n\n")
	fmt.Fprintf(
		&b,
		"One gearmand on loopback, %d CPUs for it and its clients, payloads of 100 bytes, medians of %d rounds. Ratios are medians of the rounds' ratios, with the lowest and the highest: 1 is as fast as the raw socket.\n\n",
		runtime.NumCPU(), s.rounds,
	)
	fmt.Fprintf(&b, "| | raw socket | ours | ratio |\n|---|--:|--:|--:|\n")
	for _, row := range []struct{ title, raw, ours string }{
		{"background submits/s, 64 under way", "raw_submit_64", "submit_64"},
		{"background submits/s, 1,000 under way", "raw_submit_1000", "submit_1000"},
		{"jobs worked/s, 1 connection", "raw_worked_1", "worked_1"},
		{"jobs worked/s, 4 connections", "raw_worked_4", "worked_4"},
		{"jobs worked/s, 16 connections", "raw_worked_16", "worked_16"},
	} {
		fmt.Fprintf(
			&b, "| %s | %.0f | %.0f | %s |\n", row.title, f.median(row.raw), f.median(row.ours),
			f.ratio(row.ours, row.raw),
		)
	}
	fmt.Fprintf(
		&b, "| foreground round trip, µs | %.0f | %.0f | %s |\n\n", f.median("raw_foreground_us"),
		f.median("foreground_us"), foregroundRatio,
	)
	fmt.Fprintf(
		&b, "With a unique key of its own for each job, as the library gives them: %.0f submits/s.\n\n",
		f.median("submit_keyed"),
	)
	fmt.Fprintf(&b, "libgearman's `gearman`: %.0f submits/s, %.0f jobs worked/s. Memory allocations per job worked: %.1f.\n", f.median("cli_submit"), f.median("cli_worked"), allocs)
	t.Log("\n" + b.String())
	if dir := os.Getenv("REPORTS"); dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "bench-gearman.md"), []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	line, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("RESULT %s\n", line)
	if allocs > 8 {
		t.Errorf("%.1f allocations per job worked, want at most 8", allocs)
	}
}

// round keeps three digits after the decimal point of small values, and none of large ones.
func round(v float64) float64 {
	digits := 0
	if v < 100 {
		digits = 3
	}
	r, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'f', digits, 64), 64)
	return r
}
