package report

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/policy"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/sim"
)

// Options are the command's arguments after validation.
type Options struct {
	// Bench runs the matrix with this many Seeds from First on. Short uses few workloads and no
	// variants.
	Bench bool
	Seeds int
	First uint64
	Short bool
	// Out is the directory for plots and the report; "" writes none. Format is svg or png.
	Out, Format string
	// Page is a Markdown file whose tables are replaced with Bench; "" writes none.
	Page string

	// Otherwise one workload is run.
	Workload *sim.Workload
	Policy   func(time.Time) scaling.Policy
	Config   sim.Config
}

// Parse parses the arguments. Its errors describe what to change.
func Parse(name string, args []string, stderr io.Writer) (*Options, error) {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(stderr)
	o := &Options{}
	f.BoolVar(&o.Bench, "bench", false, "play all workloads in all settings and print a RESULT line")
	f.IntVar(&o.Seeds, "seeds", 10, "with -bench: how many seeds")
	f.Uint64Var(&o.First, "first-seed", 5001, "with -bench: the first seed")
	f.BoolVar(&o.Short, "short", false, "with -bench: a few workloads and one setting only")
	f.StringVar(&o.Out, "out", "", "directory for the plot (and with -bench the report); none if empty")
	f.StringVar(&o.Format, "format", "svg", "format of the plot: svg or png")
	f.StringVar(
		&o.Page, "page", "", "with -bench: a Markdown file between whose marks the tables are written; none if empty",
	)
	pool := f.String("pool", "", "file with a GearmanWorkerPool (YAML)")
	trace := f.String("trace", "", "CSV file: time_s,function,job_seconds[,count]")
	workload := f.String("workload", "", "generated workload instead of a trace: "+workloadNames())
	seed := f.Uint64("seed", 1, "seed of the generated workload and of the start times")
	target := f.Duration("target-wait", 30*time.Second, "without -pool: how soon a job should start")
	hint := f.Duration("job-time", 0, "without -pool: hint for how long a job takes")
	slots := f.Int("concurrency", 0, "without -pool: jobs that a pod runs at a time")
	most := f.Int("max-replicas", 1000, "without -pool: maximum number of pods")
	f.Float64Var(&o.Config.Boot, "boot", 10, "seconds that a pod takes to start")
	f.BoolVar(&o.Config.NoTelemetry, "no-telemetry", false, "the workers send no telemetry")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: every option has a flag", f.Arg(0))
	}
	if o.Format != "svg" && o.Format != "png" {
		return nil, fmt.Errorf("-format must be svg or png, not %q", o.Format)
	}
	if o.Bench {
		if o.Seeds < 1 || o.Seeds > 1000 {
			return nil, fmt.Errorf("-seeds must be 1 to 1000, not %d", o.Seeds)
		}
		return o, nil
	}
	if !(o.Config.Boot > 0 && o.Config.Boot < 3600) {
		return nil, fmt.Errorf("-boot must be above 0 and below 3600 seconds, not %g", o.Config.Boot)
	}
	if *slots < 0 || *slots > 10000 || *most < 1 || *most > 100000 || *target <= 0 || *hint < 0 {
		return nil, fmt.Errorf("-concurrency, -max-replicas, -target-wait and -job-time must be positive and sensible")
	}
	o.Config.Seed = *seed
	o.Config.MaxReplicas = int32(*most)
	if err := o.load(*workload, *trace, *seed); err != nil {
		return nil, err
	}
	if *slots > 0 {
		o.Workload.Concurrency = *slots
	}
	if *pool != "" {
		return o, o.loadPool(*pool, *trace != "")
	}
	p := scaling.Policy{TargetWait: *target, JobTimeHint: *hint, MaxReplicas: int32(*most), Drain: time.Hour}
	o.Policy = func(time.Time) scaling.Policy { return p }
	o.Config.Targets = []float64{target.Seconds()}
	return o, nil
}

// load generates or reads the workload.
func (o *Options) load(workload, trace string, seed uint64) error {
	switch {
	case (workload == "") == (trace == ""):
		return fmt.Errorf("give either -workload or -trace (or -bench)")
	case trace != "":
		r, err := os.Open(trace)
		if err != nil {
			return err
		}
		defer r.Close()
		o.Workload, err = ReadTrace(trace, r)
		return err
	}
	for _, m := range sim.Makers() {
		if m.Name == workload {
			o.Workload = m.New(seed)
			return nil
		}
	}
	return fmt.Errorf("there is no workload %q; there are %s", workload, workloadNames())
}

// loadPool reads the policy from a pool's manifest. A trace may only contain functions of the pool.
func (o *Options) loadPool(file string, trace bool) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var pool v1alpha1.GearmanWorkerPool
	if err := yaml.UnmarshalStrict(data, &pool); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if pool.Spec.MaxReplicas == 0 {
		pool.Spec.MaxReplicas = 10 // the API server's default
	}
	compiled, err := policy.Compile(&pool.Spec)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if trace {
		known := policy.Functions(&pool.Spec)
		for _, name := range o.Workload.Functions {
			if !contains(known, name) {
				return fmt.Errorf(
					"the trace has jobs of %q, which %s does not process: remove them, or add the function to the pool",
					name, file,
				)
			}
		}
	}
	p := compiled.At(time.Time{})
	o.Policy = compiled.At
	o.Workload.Concurrency = max(1, int(p.Concurrency))
	o.Config.MinReplicas, o.Config.MaxReplicas = p.MinReplicas, p.MaxReplicas
	o.Config.Poll, o.Config.Drain = p.Tick.Seconds(), p.Drain.Seconds()
	target := p.TargetWait.Seconds()
	if target == 0 {
		target = 30
	}
	o.Config.Targets = []float64{target}
	return nil
}

func contains(names []string, name string) bool {
	return slices.Contains(names, name)
}

func workloadNames() string {
	names := make([]string, 0, len(sim.Makers()))
	for _, m := range sim.Makers() {
		names = append(names, fmt.Sprintf("%q", m.Name))
	}
	return strings.Join(names, ", ")
}
