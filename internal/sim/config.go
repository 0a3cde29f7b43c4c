package sim

// Job is one job of a workload. Times are in seconds.
type Job struct {
	At       float64 // when it is submitted
	Seconds  float32 // how long it runs
	Delay    float32 // it may start this long after At at the earliest
	Function uint8
	Server   uint8
	Priority uint8 // lowest first among the jobs of one function at one job server; up to 2
	Fails    bool
}

// Workload is the jobs of one run and the faults during the run.
type Workload struct {
	Name      string
	Functions []string
	Servers   int
	Jobs      []Job // in the order of their submission
	// Horizon is the time up to which worker-hours are counted at least. The run ends when all jobs
	// have ended.
	Horizon     float64
	Concurrency int
	// MeanSeconds is the mean length of a job, which a well-informed user would give as the hint.
	MeanSeconds float64
	// Mark is when the interesting event happens (0: the start); the time to the peak counts from
	// there.
	Mark float64
	// Silences are periods in which a job server doesn't answer the operator; workers still reach
	// it.
	Silences []Silence
	// Restarts are times at which the operator restarts and knows only what it had saved in the
	// status.
	Restarts []float64
	// Foreign are changes of the number of slots of workers that belong to others.
	Foreign []ForeignSlots
	// LostPolls is the share of the operator's polls that each job server doesn't answer.
	LostPolls float64
	// TelemetryEvery is the minimum number of seconds between two telemetry reports; 0 means that
	// each poll has one.
	TelemetryEvery float64
	// BootSpread is the fraction of its mean by which a pod's start may be shorter or longer; 0
	// means 0.2.
	BootSpread float64
	// Saturation is how many jobs the backend serves at once; beyond that each job takes
	// proportionally longer. 0 means no limit.
	Saturation int
	// Nodes is how many pods find a node; 0 means all. BadNodes is the share of the nodes that
	// can't pull the image.
	Nodes    int
	BadNodes float64
	// DeadNodes are nodes that die.
	DeadNodes []DeadNode
	// CrashEvery is the mean time between crashes of a working pod; 0 means no crashes.
	CrashEvery float64
}

// Silence is a period in which a job server doesn't answer.
type Silence struct {
	Server   int
	From, To float64
}

// ForeignSlots sets the number of slots of others' workers at a time.
type ForeignSlots struct {
	At    float64
	Slots int
}

// Config is the cluster around a workload. The zero value of a field means its default.
type Config struct {
	// mean seconds from a pod's creation to its first job; default 10; each start varies, and one
	// in fifty takes twice as long
	Boot         float64
	Poll         float64 // default 5, and 1 at zero replicas
	APILatency   float64 // seconds from a decision to its pods; default 0.5
	TelemetryLag float64 // age of telemetry at a poll; default 0.5
	Drain        float64 // seconds that a stopping pod has for its jobs; default 3600
	MinReplicas  int32
	MaxReplicas  int32 // default 1000
	Targets      []float64
	NoTelemetry  bool
	Seed         uint64
	// Trace is called at each decision if not nil.
	Trace func(Point)
}

// Point is the state at one moment of a run.
type Point struct {
	At                float64
	Queued, Running   int
	Replicas, Working int
	OldestWait        float64
	Reason            string
}

func (c Config) withDefaults() Config {
	set := func(x *float64, d float64) {
		if *x == 0 {
			*x = d
		}
	}
	set(&c.Boot, 10)
	set(&c.Poll, 5)
	set(&c.APILatency, 0.5)
	set(&c.TelemetryLag, 0.5)
	set(&c.Drain, 3600)
	if c.MaxReplicas == 0 {
		c.MaxReplicas = 1000
	}
	return c
}
