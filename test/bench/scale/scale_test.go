package scale

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/test/bench/operator"
	"github.com/gearman-operator/gearman-operator/test/controlplane"
)

const (
	servers    = 10
	namespaces = 10
	// One pool in ten has at least two pods, the others are at zero.
	busyEvery, busyPods = 10, 2
)

// size is the size of a run.
type size struct {
	pools      int
	settle     time.Duration // before the operator is measured at rest
	rest, load time.Duration
	samples    int // from submit to patch, each way
}

func sizeFromEnv(t *testing.T) size {
	t.Helper()
	pools := os.Getenv("BENCH_SCALE_POOLS")
	if pools == "" {
		return size{
			pools: 50, settle: 2 * time.Second, rest: 5 * time.Second, load: 5 * time.Second, samples: realServers,
		}
	}
	n, err := strconv.Atoi(pools)
	if err != nil || n < 1 || n > 20_000 {
		t.Fatalf("BENCH_SCALE_POOLS: want 1 to 20000, not %q", pools)
	}
	// settle is long enough for the minute to pass after which figures may be written again, and
	// then for the operator to be at rest.
	return size{pools: n, settle: 90 * time.Second, rest: time.Minute, load: time.Minute, samples: 200}
}

// bench is a run.
type bench struct {
	size
	plane    *controlplane.ControlPlane
	k8s      client.Client
	servers  []*gearmantest.Server
	operator *manager
	pods     *kubelet
	scales   *scales
	result   map[string]float64
	told     map[string]bool // which parts of the result have been logged
	report   report
	phases   strings.Builder
}

// TestScale is `make bench-scale`.
func TestScale(t *testing.T) {
	b := &bench{size: sizeFromEnv(t), result: map[string]float64{}, told: map[string]bool{}}
	b.result["pools"] = float64(b.pools)
	b.start(t)
	b.create(t)
	b.measureRest(t)
	b.measureNews(t)
	b.measureLoad(t)
	b.measureColdStart(t)
	b.measureDelete(t)
	b.finish(t)
}

// start starts everything except the pools.
func (b *bench) start(t *testing.T) {
	t.Helper()
	plane, k8s := operator.ControlPlane(t, controllerFlags)
	b.plane, b.k8s = plane, k8s
	typed, err := kubernetes.NewForConfig(plane.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append([]string{operator.Namespace, newsNamespace}, namespaceNames()...) {
		if err := b.k8s.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range servers {
		s := gearmantest.NewServer(gearmantest.Options{})
		t.Cleanup(s.Close)
		b.servers = append(b.servers, s)
		b.introduce(t, i)
	}
	b.scales = newScales()
	b.pods = newKubelet(typed)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { b.pods.run(ctx, b.scales) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	b.operator = newManager(t, plane.Kubeconfig)
	b.operator.Start(t)
}

func namespaceNames() []string {
	out := make([]string, namespaces)
	for i := range out {
		out[i] = fmt.Sprintf("team-%d", i)
	}
	return out
}

func function(i int) string { return fmt.Sprintf("function-%05d", i) }

func (b *bench) server(i int) *gearmantest.Server { return b.servers[i%servers] }

// busy reports whether a pool has pods at all times.
func busy(i int) bool { return i/servers%busyEvery == 0 }

func (b *bench) pool(i int) *v1alpha1.GearmanWorkerPool {
	p := newPool(fmt.Sprintf("team-%d", i%namespaces), fmt.Sprintf("pool-%05d", i), b.server(i).Addr(), function(i))
	if busy(i) {
		p.Spec.MinReplicas = busyPods
	}
	return p
}

func newPool(namespace, name, server, function string) *v1alpha1.GearmanWorkerPool {
	return &v1alpha1.GearmanWorkerPool{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.GearmanWorkerPoolSpec{
			Servers:  []v1alpha1.ServerAddress{v1alpha1.ServerAddress(server)},
			Function: v1alpha1.FunctionName(function), Image: "worker:1",
			Concurrency: 1, MaxReplicas: 10,
		},
	}
}

// create creates all pools while the operator runs, and waits until it has created their
// Deployments.
func (b *bench) create(t *testing.T) {
	t.Helper()
	began := time.Now()
	next := make(chan int)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range next {
				p := b.pool(i)
				b.pods.house(p)
				if err := b.k8s.Create(t.Context(), p); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range b.pools {
		next <- i
	}
	close(next)
	wg.Wait()
	b.result["create_s"] = time.Since(began).Seconds()
	wantPods := 0
	for i := range b.pools {
		if busy(i) {
			wantPods += busyPods
		}
	}
	operator.Eventually(t, time.Minute+time.Duration(b.pools)*100*time.Millisecond, "all pools to be watched and their pods to work", func() error {
		e, err := b.operator.entries(t.Context())
		if err != nil {
			return err
		}
		if e["wholeSamples"] != b.pools || e["pods"] != wantPods || e["statusWrites"] > 0 ||
			b.pods.working() != wantPods {
			return fmt.Errorf("%v; %d of %d pods work", e, b.pods.working(), wantPods)
		}
		return nil
	})
	b.result["pods"] = float64(wantPods)
	b.result["first_start_s"] = time.Since(began).Seconds()
	b.progress(t, "created")
}

// measureRest measures pools and pods that have nothing to do.
func (b *bench) measureRest(t *testing.T) {
	t.Helper()
	operator.Pause(t, b.settle)
	writes, requests, used, began := b.writes(t), b.requests(), operator.CPU(t, b.operator.PID()), time.Now()
	peak := 0.
	for time.Since(began) < b.rest {
		operator.Pause(t, time.Second)
		peak = max(peak, rss(t, b.operator.PID()))
	}
	took := time.Since(began).Seconds()
	b.result["rest_cpu_cores"] = (operator.CPU(t, b.operator.PID()) - used) / took
	b.result["rss_mib"] = peak
	b.result["job_server_requests_per_s"] = float64(b.requests()-requests) / took
	diff := b.writes(t).since(writes)
	b.result["rest_api_writes_per_s"] = diff.total() / took
	b.report.add(
		"API writes at rest, all clients together (the API server's own leases and the operator's lease among them)",
		diff.table(took),
	)
	b.report.add("What the operator keeps in memory", table(b.mustEntries(t)))

	// The requests of a monitoring system for all metrics cost something too.
	used, began = operator.CPU(t, b.operator.PID()), time.Now()
	const scrapes = 3
	for range scrapes {
		text, err := b.operator.Get(t.Context(), "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		b.result["metrics_mib"] = float64(len(text)) / (1 << 20)
		b.result["scraped_rss_mib"] = max(b.result["scraped_rss_mib"], rss(t, b.operator.PID()))
	}
	b.result["scrape_cpu_s"] = (operator.CPU(
		t, b.operator.PID(),
	) - used - b.result["rest_cpu_cores"]*time.Since(began).Seconds()) / scrapes
	b.progress(t, "at rest")
}

func (b *bench) mustEntries(t *testing.T) map[string]int {
	t.Helper()
	e, err := b.operator.entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// measureLoad measures under a changing load: each second jobs are submitted for a few pools at
// zero, and for those that have pods.
func (b *bench) measureLoad(t *testing.T) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	before := b.operator.delays(t)
	used, began, writes, requests := operator.CPU(t, b.operator.PID()), time.Now(), b.writes(t), b.requests()
	processors, durations := b.processors(t), b.durations(t)
	bare := b.bareWrites(t)
	b.scales.reset()
	peak, woken, submitted := 0., map[int]bool{}, 0
	for time.Since(began) < b.load {
		second := time.Now()
		for range max(1, b.pools/1000) {
			if i := random.IntN(b.pools); !busy(i) && !woken[i] {
				woken[i] = true
				b.scales.expect(b.pool(i).Namespace + "/" + b.pool(i).Name)
				b.server(i).Submit(function(i), "", nil)
			}
		}
		for range max(1, b.pools/100) {
			if i := random.IntN(b.pools); busy(i) {
				b.server(i).Submit(function(i), "", nil)
				submitted++
			}
		}
		operator.Pause(t, time.Second-time.Since(second))
		peak = max(peak, rss(t, b.operator.PID()))
	}
	took := time.Since(began).Seconds()
	b.result["load_cpu_cores"] = (operator.CPU(t, b.operator.PID()) - used) / took
	b.result["load_rss_mib"] = peak
	b.result["load_job_server_requests_per_s"] = float64(b.requests()-requests) / took // the workers' too
	b.result["load_api_writes_per_s"] = b.writes(t).since(writes).total() / took
	b.report.add("API writes under load, all clients together", b.writes(t).since(writes).table(took))
	b.report.add("How long the API server took for writes under load", b.durations(t).since(durations))
	b.report.add("Processors under load", b.processors(t).since(processors, took))
	operator.Eventually(t, 2*time.Minute, "the pools that got a job to get a replica", func() error {
		if n := b.scales.missing(); n > 0 {
			return fmt.Errorf("%d of %d have none", n, len(woken))
		}
		return nil
	})
	wrote := bare()
	b.result["load_bare_write_p50_ms"], b.result["load_bare_write_p99_ms"] = quantile(wrote, .5), quantile(wrote, .99)
	delays := b.operator.delays(t).since(before)
	b.result["sample_to_patch_p50_ms"], b.result["sample_to_patch_p99_ms"] = delays.quantile(.5)*1000, delays.quantile(.99)*1000
	b.result["load_scale_ups"] = delays.count()
	b.result["load_submit_to_patch_p99_ms"] = quantile(b.scales.times("team-"), .99)
	b.result["load_jobs_per_s"] = float64(submitted+len(woken)) / took
	b.progress(t, "under load")
}

// measureColdStart ends the operator and starts it again, while pods run jobs.
func (b *bench) measureColdStart(t *testing.T) {
	t.Helper()
	// The pods that the load woke have ended by then, so that no scale-down is due, however long
	// the restart takes.
	operator.Eventually(t, 10*time.Minute, "the pods of the load to end", func() error {
		e, err := b.operator.entries(t.Context())
		if want := int(b.result["pods"]); err == nil && e["pods"] > want {
			err = fmt.Errorf("%d pods, %d of them stay", e["pods"], want)
		}
		return err
	})
	b.operator.Stop(t)
	b.scales.reset()
	began, writes := time.Now(), b.writes(t)
	b.operator.Start(t)
	operator.Eventually(t, 5*time.Minute, "the new operator to know all pools", func() error {
		e, err := b.operator.entries(t.Context())
		if err == nil && e["wholeSamples"] < b.pools {
			err = fmt.Errorf("%v", e)
		}
		return err
	})
	b.result["cold_start_s"] = time.Since(began).Seconds()
	b.result["cold_start_cpu_s"] = operator.CPU(t, b.operator.PID())
	b.result["cold_start_scale_downs"] = float64(b.scales.downs())
	b.result["cold_start_rss_mib"] = rss(t, b.operator.PID())
	diff := b.writes(t).since(writes)
	b.result["cold_start_api_writes"] = diff.total()
	if n := diff["APPLY deployments"]; n > float64(10+b.pools/10) {
		t.Errorf("a new operator applied %v Deployments that nobody had changed", n)
	}
	b.report.add("API writes of the cold start, all clients together, in all", diff.totals())
	b.progress(t, "cold start")
}

// measureDelete deletes all pools and waits until the operator has forgotten them.
func (b *bench) measureDelete(t *testing.T) {
	t.Helper()
	began := time.Now()
	var wg sync.WaitGroup
	for _, ns := range append([]string{newsNamespace}, namespaceNames()...) {
		wg.Go(func() {
			// The API server ends a request that takes longer than its time-out, with part of the
			// work done.
			err := b.k8s.DeleteAllOf(t.Context(), &v1alpha1.GearmanWorkerPool{}, client.InNamespace(ns))
			for end := time.Now().Add(10 * time.Minute); err != nil && time.Now().Before(end); {
				err = b.k8s.DeleteAllOf(t.Context(), &v1alpha1.GearmanWorkerPool{}, client.InNamespace(ns))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b.result["bulk_delete_api_s"] = time.Since(began).Seconds() // the API server's part of bulk_delete_s
	operator.Eventually(t, 5*time.Minute, "the operator to keep nothing of the pools", func() error {
		e, err := b.operator.entries(t.Context())
		if err != nil {
			return err
		}
		for _, n := range e {
			if n != 0 {
				return fmt.Errorf("%v", e)
			}
		}
		return nil
	})
	b.result["bulk_delete_s"] = time.Since(began).Seconds()
	b.report.add("What the operator keeps in memory after all pools were deleted", table(b.mustEntries(t)))
}
