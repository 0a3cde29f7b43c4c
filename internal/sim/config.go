package sim

// Job is one job of a workload. Times are in seconds.
type Job struct {
	At       float64 // submitted
	Seconds  float32 // how long it takes
	Delay    float32 // how long after At it may start at the earliest
	Function uint8
	Server   uint8
	Priority uint8 // of jobs of one function at one job server those with the lowest number go first; up to 2
	Fails    bool
}

// Workload is the jobs of one run and what goes wrong in it.
type Workload struct {
	Name      string
	Functions []string
	Servers   int
	Jobs      []Job // in the order of their submission
	// Horizon is the time up to which worker-hours are counted at least; the run ends when all jobs
	// have.
	Horizon     float64
	Concurrency int
	// MeanSeconds is the mean length of a job, what a well-informed user would give as the hint.
	MeanSeconds float64
	// Mark is when the interesting thing happens (0: the start); the time to the peak counts from
	// there.
	Mark float64
	// Silences are times in which a job server doesn't answer the operator; workers still reach it.
	Silences []Silence
	// Restarts are times at which the operator starts anew, knowing only what its status keeps.
	Restarts []float64
	// Foreign are changes of the number of slots that others' workers have.
	Foreign []ForeignSlots
	// LostPolls is the part of the operator's polls that each job server leaves without an answer.
	LostPolls float64
	// TelemetryEvery is how many seconds apart telemetry is at least; 0 means that each poll has
	// it.
	TelemetryEvery float64
	// BootSpread is by which part of its mean a pod's start may be shorter or longer; 0 means 0.2.
	BootSpread float64
	// Saturation is how many jobs the backend serves at once; beyond that each takes longer in
	// proportion. 0 means no limit.
	Saturation int
	// Nodes is how many pods find a node; 0 means all. BadNodes is the part of the nodes that can't
	// pull the image.
	Nodes    int
	BadNodes float64
	// DeadNodes are nodes that die.
	DeadNodes []DeadNode
	// CrashEvery is the mean time between crashes of a working pod; 0 means none.
	CrashEvery float64
}

// Silence is a time in which a job server doesn't answer.
type Silence struct {
	Server   int
	From, To float64
}

// ForeignSlots sets the number of others' slots at a time.
type ForeignSlots struct {
	At    float64
	Slots int
}

// Config is the cluster around a workload. The zero value of a field means its default.
type Config struct {
	// mean seconds from a pod's creation to its first job; default 10; each start varies, one in
	// fifty takes twice as long
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
