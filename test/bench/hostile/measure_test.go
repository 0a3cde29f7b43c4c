package hostile

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/test/bench/operator"
)

// watchWakes records when Deployments of the victim get a replica.
func watchWakes(t *testing.T, k8s client.WithWatch) *wakes {
	t.Helper()
	w := &wakes{at: make(map[string]time.Time), more: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	watcher, err := k8s.Watch(ctx, &appsv1.DeploymentList{}, client.InNamespace(victim))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			for event := range watcher.ResultChan() {
				d, ok := event.Object.(*appsv1.Deployment)
				if ok && event.Type != watch.Deleted && *d.Spec.Replicas > 0 {
					w.note(d.Name)
				}
			}
			// The API server may end a watch at any time. The next one begins with what there is.
			for {
				if gearman.Sleep(ctx, 100*time.Millisecond) != nil {
					return
				}
				if next, err := k8s.Watch(ctx, &appsv1.DeploymentList{}, client.InNamespace(victim)); err == nil {
					watcher = next
					break
				}
			}
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return w
}

func (w *wakes) note(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at[name].IsZero() {
		w.at[name] = time.Now()
		close(w.more)
		w.more = make(chan struct{})
	}
}

// wait returns when a Deployment got its first replica.
func (w *wakes) wait(ctx context.Context, name string) (time.Time, error) {
	for {
		w.mu.Lock()
		at, more := w.at[name], w.more
		w.mu.Unlock()
		if !at.IsZero() {
			return at, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%s has no replica: %w", name, ctx.Err())
		}
	}
}

// figures are the measurements of a phase.
type figures struct {
	wakeMS               []float64
	rss                  float64 // MiB, the maximum
	goroutines           float64 // the maximum
	scrapes, failed      int
	scrapeMiB            float64 // the largest
	dns, dials, logLines float64 // a second
	cores                float64
}

// phase wakes the victim's pools one after the other, while memory is watched and metrics are
// scraped.
func (b *bench) phase(t *testing.T, phase int) *figures {
	t.Helper()
	f := &figures{}
	var background sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	background.Go(func() { b.watchMemory(ctx, t, f) })
	background.Go(func() { b.scrapeAgain(ctx, t, f) })
	operator.Pause(t, b.settle)
	used := operator.CPU(t, b.operator.PID())
	began, dns, dials, lines := time.Now(), b.queries(), b.hostile.dials.Load(), b.operator.logLines(t)
	for i := range b.size.wakes {
		// The pause varies, so that the wakes meet all phases of the polls.
		operator.Pause(t, 200*time.Millisecond+rand.N(time.Second))
		name, submitted := victimName(phase, i), time.Now()
		if err := b.submit(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		limit, done := context.WithTimeout(t.Context(), 5*time.Minute)
		at, err := b.wakes.wait(limit, name)
		done()
		if err != nil {
			t.Fatal(err)
		}
		f.wakeMS = append(f.wakeMS, float64(at.Sub(submitted).Microseconds())/1000)
	}
	operator.Pause(t, max(time.Millisecond, b.measure-time.Since(began)))
	took := time.Since(began).Seconds()
	f.dns, f.dials = float64(b.queries()-dns)/took, float64(b.hostile.dials.Load()-dials)/took
	f.cores = (operator.CPU(t, b.operator.PID()) - used) / took
	f.logLines = float64(b.operator.logLines(t)-lines) / took
	cancel()
	background.Wait()
	return f
}

func (b *bench) queries() int64 {
	if b.names == nil {
		return 0
	}
	return b.names.queries.Load()
}

func (b *bench) watchMemory(ctx context.Context, t *testing.T, f *figures) {
	for ctx.Err() == nil {
		mib, err := b.operator.rss()
		if err != nil || mib == 0 {
			t.Errorf("the operator has ended: %v", err)
			return
		}
		f.rss = max(f.rss, mib)
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// scrapeAgain scrapes as a monitoring system does, but more often.
func (b *bench) scrapeAgain(ctx context.Context, t *testing.T, f *figures) {
	for ctx.Err() == nil {
		text, err := b.operator.Get(context.WithoutCancel(ctx), "/metrics")
		if err == nil {
			err = f.take(text)
		}
		f.scrapes++
		if err != nil {
			f.failed++
			t.Errorf("scrape: %v", err)
		}
		select {
		case <-time.After(scrapeEach):
		case <-ctx.Done():
		}
	}
}

func (f *figures) take(text []byte) error {
	families, err := operator.Parse(text)
	if err != nil {
		return err
	}
	f.scrapeMiB = max(f.scrapeMiB, float64(len(text))/(1<<20))
	for _, m := range families["go_goroutines"].GetMetric() {
		f.goroutines = max(f.goroutines, m.GetGauge().GetValue())
	}
	return nil
}

// quantile is the smallest of v that at least q of all don't exceed.
func quantile(v []float64, q float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[max(0, int(math.Ceil(q*float64(len(v))))-1)]
}

// report writes the result, and checks the targets if the run is a full one. A short one shows only
// that the victim is served and that no scrape fails.
func (b *bench) report(t *testing.T, without, with *figures) {
	t.Helper()
	round := func(x float64) float64 { return math.Round(x*100) / 100 }
	p99, p99Without := quantile(with.wakeMS, .99), quantile(without.wakeMS, .99)
	result := map[string]any{
		"hostile_servers": len(b.hostile.ports), "hostile_pools": b.pools, "hostile_namespaces": hostileNS,
		"rss_mib_peak": round(with.rss), "rss_mib_without": round(without.rss),
		"goroutines_peak": with.goroutines, "goroutines_without": without.goroutines,
		"victim_wake_p99_ms": round(p99), "victim_wake_p99_ms_without": round(p99Without),
		"victim_wake_p50_ms":         round(quantile(with.wakeMS, .5)),
		"victim_wake_p50_ms_without": round(quantile(without.wakeMS, .5)),
		"scrape_ok":                  with.failed == 0 && without.failed == 0,
		"scrapes":                    with.scrapes + without.scrapes,
		"scrape_mib":                 round(with.scrapeMiB),
		"dns_per_s":                  round(with.dns), "dials_per_s": round(with.dials),
		"log_lines_per_s":         round(with.logLines),
		"log_lines_per_s_without": round(without.logLines),
		"cpu_cores":               round(with.cores), "cpu_cores_without": round(without.cores),
		"cgroup_mib_peak": round(b.operator.cgroupPeak()), "ceiling": b.operator.ceiling(), "names": b.names != nil,
	}
	if b.full {
		for what, missed := range map[string]bool{
			"rss_mib_peak is to be 256 at most":               with.rss > 256,
			"rss_mib_peak is to be 1.5 times without at most": with.rss > 1.5*without.rss,
			"victim_wake_p99_ms is to be 1200 at most":        p99 > 1200,
		} {
			if missed {
				t.Error("target missed: " + what)
			}
		}
	}
	line, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, result)
	fmt.Printf("RESULT %s\n", line)
}

// write writes the report, if one was requested.
func (b *bench) write(t *testing.T, result map[string]any) {
	t.Helper()
	path := os.Getenv("BENCH_HOSTILE_REPORT")
	if path == "" {
		return
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	fmt.Fprintf(
		&text,
		"# Hostile tenants\n\nOn a machine of %d processors, which etcd, kube-apiserver, kube-controller-manager, the hostile job servers and the\n",
		runtime.NumCPU(),
	)
	fmt.Fprintf(
		&text, "benchmark shared with the operator; load average at the end %s.\n\n| figure | value |\n|---|--:|\n",
		strings.TrimSpace(string(load)),
	)
	for _, k := range slices.Sorted(func(yield func(string) bool) {
		for k := range result {
			if !yield(k) {
				return
			}
		}
	}) {
		fmt.Fprintf(&text, "| %s | %v |\n", k, result[k])
	}
	text.WriteString("\nThe hostile job servers: ")
	for i, kind := range behaviors(b.functions[:1]) {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(kind.name)
	}
	text.WriteString(".\n")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
