package sim

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// Maker makes one run's workload from a seed.
type Maker struct {
	Name string
	// About is a short description.
	About string
	// Held is true for the workloads that were held out while the law was developed.
	Held bool
	// Beyond is true for workloads in which the law can't see the relevant facts: they are
	// reported, but don't count.
	Beyond bool
	Make   func(rng *rand.Rand) *Workload
}

// New returns the workload of one seed.
func (m Maker) New(seed uint64) *Workload {
	w := m.Make(rand.New(rand.NewPCG(seed, uint64(len(m.Name))*7919)))
	w.Name = m.Name
	if w.Functions == nil {
		w.Functions = []string{"f"}
	}
	w.Servers, w.Concurrency = max(1, w.Servers), max(1, w.Concurrency)
	slices.SortStableFunc(w.Jobs, func(a, b Job) int { return cmp.Compare(a.At, b.At) })
	sum := 0.
	for i := range w.Jobs {
		sum += float64(w.Jobs[i].Seconds)
	}
	w.MeanSeconds = sum / float64(max(1, len(w.Jobs)))
	return w
}

// length draws the length of a job in seconds.
type length func(rng *rand.Rand) float64

func exponential(mean float64) length {
	return func(rng *rand.Rand) float64 { return mean * rng.ExpFloat64() }
}

// lognormal has the given mean and a coefficient of variation of 1.
func lognormal(mean float64) length {
	sigma := math.Sqrt(math.Ln2)
	return func(rng *rand.Rand) float64 { return mean * math.Exp(sigma*rng.NormFloat64()-sigma*sigma/2) }
}

// pareto has the given mean and the tail exponent 1.5, cut off at 1000 means.
func pareto(mean float64) length {
	return func(rng *rand.Rand) float64 {
		return min(mean/3*math.Pow(1-rng.Float64(), -1/1.5), 1000*mean)
	}
}

// around varies by up to a quarter in both directions.
func around(mean float64) length {
	return func(rng *rand.Rand) float64 { return mean * (0.75 + 0.5*rng.Float64()) }
}

// poisson adds jobs at a rate (jobs per second) that may vary over time; peak is its largest value.
func (w *Workload) poisson(
	rng *rand.Rand, from, to, peak float64, rate func(t float64) float64, l length, function uint8,
) {
	for t := from; ; {
		t += rng.ExpFloat64() / peak
		if t >= to {
			return
		}
		if rate == nil || rng.Float64()*peak < rate(t) {
			w.add(t, l(rng), function)
		}
	}
}

func (w *Workload) add(t, seconds float64, function uint8) {
	w.Jobs = append(w.Jobs, Job{At: t, Seconds: float32(max(seconds, 0.001)), Function: function})
}

// burst adds n jobs within the given number of seconds.
func (w *Workload) burst(rng *rand.Rand, at, within float64, n int, l length) {
	for range n {
		w.add(at+within*rng.Float64(), l(rng), 0)
	}
}

// Makers are the workloads of the report.
//
//nolint:funlen // a table
func Makers() []Maker {
	return []Maker{
		{Name: "steady", About: "2 jobs/s of 2 s", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 3600}
			w.poisson(rng, 0, 3600, 2, nil, exponential(2), 0)
			return w
		}},
		{Name: "diurnal", About: "0.2 to 6 jobs/s of 3 s, three periods of 40 min", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 7200}
			w.poisson(
				rng, 0, 7200, 6, func(t float64) float64 { return 3.1 - 2.9*math.Cos(2*math.Pi*t/2400) }, lognormal(3),
				0,
			)
			return w
		}},
		{Name: "spike", About: "1 job/s of 2 s, twentyfold for 3 min", Make: func(rng *rand.Rand) *Workload {
			at := 1500 + 300*rng.Float64()
			w := &Workload{Horizon: 3600, Mark: at}
			w.poisson(rng, 0, 3600, 1, nil, exponential(2), 0)
			w.poisson(rng, at, at+180, 19, nil, exponential(2), 0)
			return w
		}},
		{Name: "heavy tail", About: "2 jobs/s, Pareto 1.5, mean 3 s", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 3600}
			w.poisson(rng, 0, 3600, 2, nil, pareto(3), 0)
			return w
		}},
		{Name: "flash crowd", About: "600 jobs of 4 s within 10 s, from zero, twice", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 3000}
			for _, at := range []float64{300, 1800} {
				w.burst(rng, at+60*rng.Float64(), 10, 600, exponential(4))
			}
			return w
		}},
		{Name: "20 min jobs", About: "one a minute of 20 min", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 6 * 3600}
			w.poisson(rng, 0, 6*3600, 1./60, nil, around(1200), 0)
			return w
		}},
		{Name: "sparse bursts", About: "20 to 60 jobs of 3 s every 5 min or so", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 7200}
			for t := 300 * rng.ExpFloat64(); t < 7200; t += 300 * rng.ExpFloat64() {
				w.burst(rng, t, 5, 20+rng.IntN(41), exponential(3))
			}
			return w
		}},
		{Name: "20 ms at 2/s", About: "2 jobs/s of 20 ms", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 3600}
			w.poisson(rng, 0, 3600, 2, nil, exponential(0.02), 0)
			return w
		}},
		{Name: "20 ms at 200/s", About: "200 jobs/s of 20 ms", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 900}
			w.poisson(rng, 0, 900, 200, nil, exponential(0.02), 0)
			return w
		}},
		{Name: "two functions, short first", About: "10/s of 50 ms before one in 30 s of 120 s", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 5400, Functions: []string{"short", "long"}}
			w.poisson(rng, 0, 5400, 10, nil, exponential(0.05), 0)
			w.poisson(rng, 0, 5400, 1./30, nil, exponential(120), 1)
			return w
		}},
		{Name: "two functions, long first", About: "one in 30 s of 120 s before 10/s of 50 ms", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 5400, Functions: []string{"long", "short"}}
			w.poisson(rng, 0, 5400, 10, nil, exponential(0.05), 1)
			w.poisson(rng, 0, 5400, 1./30, nil, exponential(120), 0)
			return w
		}},
		{Name: "failure storm", About: "2 jobs/s of 3 s; for 10 min all fail after 50 ms", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 4500, Mark: 1800}
			w.poisson(rng, 0, 4500, 2, nil, exponential(3), 0)
			for i := range w.Jobs {
				if j := &w.Jobs[i]; j.At >= 1500 && j.At < 2100 {
					j.Fails, j.Seconds = true, 0.05
				}
			}
			return w
		}},
		{Name: "concurrency 8", About: "10 jobs/s of 4 s, 8 slots a pod", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 3600, Concurrency: 8}
			w.poisson(
				rng, 0, 3600, 16, func(t float64) float64 { return 10 + 6*math.Sin(2*math.Pi*t/1800) }, exponential(4),
				0,
			)
			return w
		}},
		{Name: "foreign workers", About: "5 jobs/s of 3 s; 12 slots of others come and go", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 4500, Foreign: []ForeignSlots{{900, 12}, {2400, 0}, {3000, 5}, {3600, 12}}}
			w.poisson(rng, 0, 4500, 5, nil, exponential(3), 0)
			return w
		}},
		{Name: "server silent", About: "two servers, one silent for 5 min, 3 jobs/s of 3 s, a spike within", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 3600, Servers: 2, Silences: []Silence{{1, 1200, 1500}, {0, 2400, 2700}}}
			w.poisson(rng, 0, 3600, 3, nil, exponential(3), 0)
			w.poisson(rng, 1300, 1420, 6, nil, exponential(3), 0)
			for i := range w.Jobs {
				w.Jobs[i].Server = uint8(rng.IntN(2))
			}
			return w
		}},
		{Name: "operator restart", About: "0.5 to 6 jobs/s of 3 s, four restarts", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 4800, Restarts: []float64{600, 1500, 2500, 3300}}
			w.poisson(
				rng, 0, 4800, 6, func(t float64) float64 { return 3.2 - 2.8*math.Cos(2*math.Pi*t/1600) },
				exponential(3), 0,
			)
			return w
		}},
		{Name: "delayed jobs", About: "1 job/s of 2 s; thrice 150 jobs that are due 5 to 6 min later", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 4500}
			w.poisson(rng, 0, 4500, 1, nil, exponential(2), 0)
			for _, at := range []float64{600, 1800, 3000} {
				n := len(w.Jobs)
				w.burst(rng, at, 20, 150, exponential(2))
				for i := n; i < len(w.Jobs); i++ {
					w.Jobs[i].Delay = float32(300 + 60*rng.Float64())
				}
			}
			return w
		}},
		{Name: "2 min jobs", About: "one in 10 s of 120 s, doubled for half an hour", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 7200}
			w.poisson(rng, 0, 7200, 0.1, nil, lognormal(120), 0)
			w.poisson(rng, 3000, 4800, 0.1, nil, lognormal(120), 0)
			return w
		}},
		{Name: "on and off", About: "4 jobs/s of 5 s, on for 4 min, off for 4 min", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 4800}
			for t := 60.; t < 4800; t += 480 {
				w.poisson(rng, t, t+240, 4, nil, exponential(5), 0)
			}
			return w
		}},
		{Name: "crashes", About: "2 jobs/s of 5 s, each pod crashes every 10 min", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 3600, CrashEvery: 600}
			w.poisson(rng, 0, 3600, 2, nil, exponential(5), 0)
			return w
		}},
		{Name: "boot storm, late telemetry", About: "twice 1200 jobs of 6 s; starts take a fifth to nearly twice the mean; telemetry every 15 s", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 4500, BootSpread: 0.8, TelemetryEvery: 15}
			w.poisson(rng, 0, 4500, 0.5, nil, exponential(6), 0)
			for _, at := range []float64{600, 2400} {
				w.burst(rng, at+60*rng.Float64(), 20, 1200, exponential(6))
			}
			return w
		}},
		{Name: "priorities", Beyond: true, About: "2 jobs/s of 3 s of low priority, and for 3 of 15 min 4/s of high", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 4500}
			for t := 400.; t < 4500; t += 900 {
				w.poisson(rng, t, t+180, 4, nil, exponential(3), 0)
			}
			high := len(w.Jobs)
			w.poisson(rng, 0, 4500, 2, nil, exponential(3), 0)
			for i := high; i < len(w.Jobs); i++ {
				w.Jobs[i].Priority = 2
			}
			return w
		}},
		{Name: "busy pods drain", About: "4 slots a pod, 90 s jobs, 0.05 to 0.4 jobs/s in periods of 40 min", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 7200, Concurrency: 4}
			w.poisson(
				rng, 0, 7200, 0.4, func(t float64) float64 { return 0.225 - 0.175*math.Cos(2*math.Pi*t/2400) },
				lognormal(90), 0,
			)
			return w
		}},
		{Name: "four servers", About: "4 jobs/s of 3 s and bursts of 200, seven in ten at one of four servers", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 4500, Servers: 4}
			w.poisson(rng, 0, 4500, 4, nil, exponential(3), 0)
			for t := 600 * rng.ExpFloat64(); t < 4200; t += 600 * rng.ExpFloat64() {
				w.burst(rng, t, 10, 200, exponential(3))
			}
			for i := range w.Jobs {
				w.Jobs[i].Server = uint8(max(0, rng.IntN(10)-6))
			}
			return w
		}},
		{Name: "lost polls", About: "two servers, each leaves one poll in four without an answer; 0.5 to 6 jobs/s of 3 s", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 4800, Servers: 2, LostPolls: 0.25}
			w.poisson(
				rng, 0, 4800, 6, func(t float64) float64 { return 3.2 - 2.8*math.Cos(2*math.Pi*t/1600) },
				exponential(3), 0,
			)
			for i := range w.Jobs {
				w.Jobs[i].Server = uint8(rng.IntN(2))
			}
			return w
		}},
		{Name: "ramp", About: "0 to 10 jobs/s of 4 s within 40 min, then none", Held: true, Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 3600}
			w.poisson(rng, 0, 2400, 10, func(t float64) float64 { return t / 240 }, around(4), 0)
			return w
		}},
		{Name: "two lengths", About: "1 job/s: 95% of 1 s, 5% of 60 s", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 5400}
			w.poisson(rng, 0, 5400, 1, nil, func(rng *rand.Rand) float64 {
				if rng.IntN(20) == 0 {
					return 60
				}
				return 1
			}, 0)
			return w
		}},
		{Name: "nightly batch", About: "1500 jobs of 10 s at once, beside one job in 20 s of 15 s", Held: true, Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 5400, Mark: 2000}
			w.poisson(rng, 0, 5400, 0.05, nil, exponential(15), 0)
			w.burst(rng, 2000+100*rng.Float64(), 1, 1500, lognormal(10))
			return w
		}},
		{Name: "noisy", About: "a rate that is drawn anew every minute, 0 to 8 jobs/s of 2 s", Held: true, Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 5400}
			for t := 0.; t < 5400; t += 60 {
				w.poisson(rng, t, t+60, 0.01+8*math.Pow(rng.Float64(), 2), nil, exponential(2), 0)
			}
			return w
		}},
		{Name: "short jobs, many pods", About: "2 h of 3 jobs/s of 0.8 s; for 6 of 40 min 60/s", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 7200}
			w.poisson(rng, 0, 7200, 3, nil, exponential(0.8), 0)
			for t := 300.; t < 7200; t += 2400 {
				from := t + 60*rng.Float64()
				w.poisson(rng, from, from+360, 60, nil, exponential(0.8), 0)
			}
			return w
		}},
		{Name: "longer jobs at once", Beyond: true, About: "3 jobs/s of 0.8 s; every 40 min 1500 jobs of 10 s", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 7200}
			w.poisson(rng, 0, 7200, 3, nil, exponential(0.8), 0)
			for t := 300.; t < 7200; t += 2400 {
				w.burst(rng, t+60*rng.Float64(), 5, 1500, exponential(10))
			}
			return w
		}},
		{Name: "one job a minute", About: "one job of 5 s a minute", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 7200}
			for t := 60.; t < 7200; t += 60 {
				w.add(t+5*rng.Float64(), around(5)(rng), 0)
			}
			return w
		}},
		{Name: "recorded arrivals", About: "an hour of a real service: 5.4 jobs/s of 6 s", Held: true, Make: func(*rand.Rand) *Workload {
			return &Workload{Horizon: 3600, Jobs: slices.Clone(recorded())}
		}},
		{Name: "saturated backend", Beyond: true, About: "10 jobs/s of 2 s on a backend that serves 15 at once", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 1800, Saturation: 15}
			w.poisson(rng, 0, 1800, 7, nil, exponential(2), 0)
			w.poisson(rng, 600, 900, 3, nil, exponential(2), 0)
			return w
		}},
		{Name: "nodes for ten", Beyond: true, About: "2 to 8 jobs/s of 3 s, nodes for ten pods", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 3600, Nodes: 10}
			w.poisson(
				rng, 0, 3600, 8, func(t float64) float64 { return 2.5 - 2.2*math.Cos(2*math.Pi*t/1200) },
				exponential(3), 0,
			)
			return w
		}},
		{Name: "one bad node in ten", Beyond: true, About: "0.5 to 6 jobs/s of 3 s; one pod in ten can't pull its image", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 4800, BadNodes: 0.1}
			w.poisson(
				rng, 0, 4800, 6, func(t float64) float64 { return 3.2 - 2.8*math.Cos(2*math.Pi*t/1600) },
				exponential(3), 0,
			)
			return w
		}},
		{Name: "a node dies", Beyond: true, About: "4 jobs/s of 3 s; twice a third of the pods dies silently", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 3600, DeadNodes: []DeadNode{{1000, 0.33}, {2200, 0.33}}}
			w.poisson(rng, 0, 3600, 4, nil, exponential(3), 0)
			return w
		}},
		{Name: "five functions", About: "five functions of 0.1, 0.5, 2, 10 and 40 s, each 1 slot's load", Make: func(rng *rand.Rand) *Workload {
			w := &Workload{Horizon: 3600, Functions: []string{"a", "b", "c", "d", "e"}}
			for f, s := range []float64{0.1, 0.5, 2, 10, 40} {
				w.poisson(rng, 0, 3600, 1/s, nil, exponential(s), uint8(f))
			}
			return w
		}},
	}
}
