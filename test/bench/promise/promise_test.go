package promise

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/autoscaler"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/sim"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

const (
	// These conditions are harder than the workloads themselves: each job server leaves one poll in
	// ten without an answer, there are three of them, and the operator restarts in the middle.
	lostPolls  = 0.1
	jobServers = 3
	// aim is by how many points the late share may differ from the truth.
	aim = 0.5
)

// short are the workloads of `go test`, all of which meet the aim. It runs them with a target of 30
// s and start times of 10 and of 30 s.
var short = []string{
	"steady", "diurnal", "spike", "crashes", "failure storm", "two functions, short first", "20 ms at 200/s", "ramp",
}

// cell is one workload in one setting, with one polling period.
type cell struct {
	name          string
	setting       sim.Setting
	truth         float64 // percent of the jobs
	got, min, max float64 // percent of the counted jobs
	jobs, counted float64
	ended, lost   int64
	priorities    bool
}

func (c *cell) points() float64 { return math.Abs(c.got - c.truth) }

// run runs one cell. The truth is each job's own wait, from its submission to its start.
func run(m *sim.Maker, setting sim.Setting, poll float64, seed uint64) cell {
	w := m.New(seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	if w.Servers < jobServers {
		w.Servers = jobServers
		for i := range w.Jobs {
			w.Jobs[i].Server = uint8(rng.IntN(jobServers))
		}
	}
	w.LostPolls = max(w.LostPolls, lostPolls)
	if len(w.Restarts) == 0 {
		w.Restarts = []float64{w.Horizon / 2}
	}
	law := &sim.Ours{
		Label: sim.OurName, Measure: true,
		Policy: scaling.Policy{TargetWait: time.Duration(setting.Target * float64(time.Second))},
	}
	var s sim.Simulator
	r := s.Run(w, law, sim.Config{Poll: poll, Boot: setting.Boot, Targets: []float64{setting.Target}, Seed: seed})
	e := law.Estimate()
	percent := func(late float64) float64 { return 100 * late / e.Total() }
	ended, lost := law.Counted()
	return cell{
		name: m.Name, setting: setting, truth: r.MissPercent(0), got: percent(e.Late), min: percent(e.LateMin),
		max:  percent(e.LateMax),
		jobs: float64(r.Jobs), counted: e.Total(), ended: ended, lost: lost,
		priorities: slices.ContainsFunc(w.Jobs, func(j sim.Job) bool { return j.Priority > 0 }),
	}
}

// result is the content of the RESULT line. Points are the difference of two shares in percent.
type result struct {
	Seed      uint64  `json:"seed"`
	Cells     int     `json:"cells"`
	MaxPoints float64 `json:"late_share_error_points_max"`
	// This leaves out the workload whose jobs have priorities: their order can't be seen from
	// outside.
	OneOrderMax  float64 `json:"late_share_error_points_max_one_priority"`
	WithinAim    int     `json:"cells_within_half_a_point"`
	MeanPoints   float64 `json:"late_share_error_points_mean"`
	WithinBounds int     `json:"cells_within_stated_bounds"`
	// This is the width of the bounds, in points of the same share.
	MeanWidth float64 `json:"stated_bounds_points_mean"`
	// These are with polls every 5 s, the default of a busy pool.
	SlowMax       float64 `json:"poll_5s_error_points_max_one_priority"`
	SlowWithinAim int     `json:"poll_5s_cells_within_half_a_point"`
	SlowMean      float64 `json:"poll_5s_error_points_mean"`
	// These are the jobs that ended while no operator counted, and the number of all jobs.
	Lost          int64 `json:"outcomes_lost"`
	Ended         int64 `json:"outcomes"`
	SeriesPerPool int   `json:"series_per_pool"`
}

func TestPromise(t *testing.T) {
	full, seed := os.Getenv("BENCH_PROMISE") == "full", uint64(1)
	if s := os.Getenv("BENCH_PROMISE_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("BENCH_PROMISE_SEED: %v", err)
		}
	}
	var makers []sim.Maker
	for _, m := range sim.Makers() {
		if full || slices.Contains(short, m.Name) {
			makers = append(makers, m)
		}
	}
	if !full && len(makers) != len(short) {
		t.Fatalf("%d of the workloads %q are there", len(makers), short)
	}
	out := result{Seed: seed, SeriesPerPool: series(t)}
	polls := []float64{1}
	settings := slices.DeleteFunc(sim.Settings(), func(s sim.Setting) bool { return s.Target > 30 || s.Boot > 30 })
	if full {
		settings = sim.Settings()
		polls = append(polls, 5)
	}
	for _, poll := range polls {
		if full {
			fmt.Printf(
				"\nPolls every %.0f s. Late jobs in percent: truth, counted [bounds], of the cells over %.1f points\n",
				poll, aim,
			)
		}
		for i := range makers {
			for _, setting := range settings {
				c := run(&makers[i], setting, poll, seed)
				out.add(&c, poll)
				switch {
				case full && c.points() > aim:
					fmt.Printf("%-28s boot %2.0f s, target %3.0f s: %6.2f, %6.2f [%6.2f to %6.2f]\n",
						c.name, setting.Boot, setting.Target, c.truth, c.got, c.min, c.max)
				case !full && c.points() > aim:
					t.Errorf(
						"%s, boot %.0f s, target %.0f s: %.2f%% late, counted %.2f%%", c.name, setting.Boot,
						setting.Target, c.truth, c.got,
					)
				}
				if off := math.Abs(c.counted/c.jobs - 1); !full && off > 0.02 {
					t.Errorf(
						"%s, boot %.0f s, target %.0f s: counted %.0f starts of %.0f jobs", c.name, setting.Boot,
						setting.Target, c.counted, c.jobs,
					)
				}
			}
		}
	}
	out.MeanPoints /= float64(out.Cells)
	out.MeanWidth /= float64(out.Cells)
	out.SlowMean /= float64(out.Cells)
	line, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	if full {
		fmt.Printf("\nRESULT %s\n", line)
	}
}

// add adds a cell. Cells, bounds and outcomes are those of the first polling period.
func (r *result) add(c *cell, poll float64) {
	points := c.points()
	if poll > 1 {
		r.SlowMean += points
		if points <= aim {
			r.SlowWithinAim++
		}
		if !c.priorities {
			r.SlowMax = max(r.SlowMax, points)
		}
		return
	}
	r.Cells++
	r.MeanPoints += points
	r.MeanWidth += c.max - c.min
	r.MaxPoints = max(r.MaxPoints, points)
	if !c.priorities {
		r.OneOrderMax = max(r.OneOrderMax, points)
	}
	if points <= aim {
		r.WithinAim++
	}
	if c.truth >= c.min && c.truth <= c.max {
		r.WithinBounds++
	}
	r.Lost += c.lost
	r.Ended += c.ended + c.lost
}

// series returns how many series of a pool's jobs there are.
func series(t *testing.T) int {
	pool := &v1alpha1.GearmanWorkerPool{}
	pool.Spec = v1alpha1.GearmanWorkerPoolSpec{
		Servers: []v1alpha1.ServerAddress{"192.0.2.1:4730"}, Function: "resize", MaxReplicas: 3,
		Scaling: &v1alpha1.ScalingSpec{TargetWaitSeconds: new(int32(30))},
	}
	spec, err := autoscaler.NewSpec(pool)
	if err != nil {
		t.Fatal(err)
	}
	a := autoscaler.New(&played{}, autoscaler.Options{})
	key := types.NamespacedName{Namespace: "jobs", Name: "resize"}
	for range 2 {
		a.Observe(key, spec, autoscaler.Observed{}, scaling.Learnt{})
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(a)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n, started := 0, false
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "gearman_pool_") {
			continue // of the operator as a whole
		}
		n += len(f.GetMetric())
		started = started || f.GetName() == "gearman_pool_jobs_started_total"
	}
	if !started {
		t.Error("the pool has no series of jobs that started")
	}
	return n
}

// played is a job server with a queue of a pool whose jobs have started at the second poll.
type played struct {
	autoscaler.JobServers
	looks int64
}

func (p *played) Sample(_ backlog.PoolKey, now time.Time) (backlog.Sample, bool) {
	p.looks++
	running := 2 * (p.looks - 1)
	return backlog.Sample{
		Time: now,
		Functions: []backlog.FunctionSample{
			{
				Name: "resize", Total: 2, Running: running,
				Counters: telemetry.Counters{OK: 9, OKMillis: 90, BusyMillis: 90},
			},
		},
		Queues: []backlog.QueueSample{{
			Function: "resize", Server: netip.MustParseAddrPort("192.0.2.1:4730"), AsOf: now, Total: 2,
			Running: running,
		}},
	}, true
}
