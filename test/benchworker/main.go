package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "echo-child":
		echoChild()
		return
	case len(os.Args) == 3 && os.Args[1] == "echo-service":
		fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Args[2], http.HandlerFunc(echoService)))
		os.Exit(1)
	}
	var b bench
	reports := flag.String("reports", "build/reports", "directory of the report")
	flag.StringVar(&b.worker, "worker", "build/gearman-worker", "the gearman-worker to measure, built as for a release")
	flag.IntVar(&b.rounds, "rounds", 5, "rounds of each contestant")
	flag.IntVar(&b.execJobs, "exec-jobs", 1500, "jobs of a round with a process each")
	flag.IntVar(&b.messageJobs, "message-jobs", 60000, "jobs of a round in stream and http mode")
	flag.Parse()
	result, report, err := b.run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchworker:", err)
		os.Exit(1)
	}
	path := filepath.Join(*reports, "bench-worker.md")
	if err = os.MkdirAll(*reports, 0o755); err == nil {
		err = os.WriteFile(path, []byte(report), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchworker:", err)
		os.Exit(1)
	}
	line, err := json.Marshal(result)
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchworker:", err)
		os.Exit(1)
	}
	fmt.Printf("report: %s\nRESULT %s\n", path, line)
}

func (b *bench) run() (map[string]float64, string, error) {
	info, err := os.Stat(b.worker)
	if err != nil {
		return nil, "", err
	}
	if err := b.startServer(); err != nil {
		return nil, "", err
	}
	defer b.stopServer()
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	service, url, err := startService(self)
	if err != nil {
		return nil, "", err
	}
	defer service.stop()

	contestants := b.contestants(self, url)
	rates, cpus, err := b.race(contestants)
	if err != nil {
		return nil, "", err
	}
	start, rss, err := b.startAndIdle()
	if err != nil {
		return nil, "", err
	}
	large, err := b.largeMemory()
	if err != nil {
		return nil, "", err
	}
	var report strings.Builder
	fmt.Fprintf(&report, "# gearman-worker beside `gearman -w`\n\nOne gearmand, queues of 100-byte jobs filled beforehand, medians of %d rounds in turn, %s.\n\n", b.rounds, time.Now().UTC().Format("2006-01-02"))
	report.WriteString("| worker | jobs/s | rounds | CPU of worker and its processes, us a job |\n|---|--:|---|--:|\n")
	for i, c := range contestants {
		fmt.Fprintf(&report, "| %s | %.0f | %s | %.0f |\n", c.name, median(rates[i]), list(rates[i]), median(cpus[i]))
	}
	fmt.Fprintf(&report, "\nBinary %.1f MiB; %.1f ms from start to registered (median of %d). Resident: %.1f MiB idle, after registering; %.1f MiB at most with %d jobs of %.0f MiB at once.\n",
		mib(info.Size()), start, starts, rss, large, largeJobs, mib(largeBytes))
	figures := figures(rates, cpus)
	figures["binary_mib"] = round(mib(info.Size()))
	figures["idle_rss_mib"] = round(rss)
	figures["large_rss_mib"] = round(large)
	figures["start_ms"] = round(start)
	return figures, report.String(), nil
}

// contestants returns the compared workers, in the order that figures expects. self is this
// program, url is the HTTP service's.
func (b *bench) contestants(self, url string) []contestant {
	ours := func(mode string, concurrency int, rest ...string) [][]string {
		return [][]string{append([]string{
			b.worker, mode, "--server", b.addr, "--function", function, "--log-level", "error",
			"--concurrency", fmt.Sprint(concurrency), "--",
		}, rest...)}
	}
	cli := func(n int) [][]string {
		_, port, _ := strings.Cut(b.addr, ":")
		one := []string{"gearman", "-h", "127.0.0.1", "-p", port, "-w", "-f", function, "/bin/true"}
		return slices.Repeat([][]string{one}, n)
	}
	return []contestant{
		{"gearman -w, 1 process, /bin/true", b.execJobs, cli(1)},
		{"exec, concurrency 1, /bin/true", b.execJobs, ours("exec", 1, "/bin/true")},
		{"gearman -w, 2 processes, /bin/true", b.execJobs, cli(2)},
		{"exec, concurrency 2, /bin/true", b.execJobs, ours("exec", 2, "/bin/true")},
		{"stream, concurrency 1, echo", b.messageJobs / 4, ours("stream", 1, self, "echo-child")},
		{"stream, concurrency 16, echo", b.messageJobs, ours("stream", 16, self, "echo-child")},
		{"http, concurrency 1, echo", b.messageJobs / 4, ours("http", 1, url)},
		{"http, concurrency 16, echo", b.messageJobs, ours("http", 16, url)},
	}
}

// race runs the contestants in turn, for some rounds. It returns jobs a second and microseconds of
// processor time a job, of each contestant in each round.
func (b *bench) race(contestants []contestant) (rates, cpus [][]float64, err error) {
	rates = make([][]float64, len(contestants))
	cpus = make([][]float64, len(contestants))
	for range b.rounds {
		for i, c := range contestants {
			rate, cpu, err := b.drain(c)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", c.name, err)
			}
			rates[i] = append(rates[i], rate)
			cpus[i] = append(cpus[i], cpu)
		}
	}
	return rates, cpus, nil
}

func figures(rates, cpus [][]float64) map[string]float64 {
	return map[string]float64{
		"exec_vs_cli_ratio_c1":   round(median(rates[1]) / median(rates[0])),
		"exec_vs_cli_ratio_c2":   round(median(rates[3]) / median(rates[2])),
		"exec_jobs_per_s_c1":     round(median(rates[1])),
		"exec_jobs_per_s_c2":     round(median(rates[3])),
		"exec_cpu_us_per_job":    round(median(cpus[1])),
		"cli_cpu_us_per_job":     round(median(cpus[0])),
		"exec_c2_cpu_us_per_job": round(median(cpus[3])),
		"cli_c2_cpu_us_per_job":  round(median(cpus[2])),
		"stream_jobs_per_s":      round(median(rates[5])),
		"stream_cpu_us_per_job":  round(median(cpus[5])),
		"http_jobs_per_s":        round(median(rates[7])),
		"http_cpu_us_per_job":    round(median(cpus[7])),
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func list(v []float64) string {
	parts := make([]string, 0, len(v))
	for _, x := range v {
		parts = append(parts, fmt.Sprintf("%.0f", x))
	}
	return strings.Join(parts, " ")
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func round(x float64) float64 { return float64(int64(x*100+0.5)) / 100 }
