package world

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Plan is everything that happens to a world from outside. It follows from its seed alone, so that
// a seed is a test case. Faults can be left out to find those that matter.
type Plan struct {
	Seed    uint64
	For     time.Duration // jobs are submitted and faults begin within this time
	Servers int
	Nodes   int
	PerNode int // pods that fit on one node
	Pools   []PoolPlan
	Faults  []Fault
	Skews   Skews

	Neighbor bool // the last pool wakes from zero while other job servers hang
	TLS      bool // the job servers speak TLS
}

// PoolPlan is a pool and its jobs.
type PoolPlan struct {
	Name        string
	Functions   []string
	Servers     []int
	Min, Max    int32
	Concurrency int32
	Drain       int32 // seconds
	Graceful    bool
	Poll        int32 // seconds; 0: the default
	Named       bool  // its job servers are given by name
	Streams     []Stream
	Schedule    *SchedulePlan
	Rates       *RatesPlan
	Target      bool  // the pool scales a workload that its users made
	Set         bool  // the workload is a StatefulSet
	Backoff     int32 // seconds before a failed job is tried again; 0: no job fails, and the pool has no retries
}

// Stream is jobs of one function that arrive at a rate for a while.
type Stream struct {
	Function   string
	At, For    time.Duration
	PerSecond  float64
	Mean       time.Duration // of a job
	Spread     float64       // jobs take Mean times 1-Spread to 1+Spread
	AtOnce     int           // jobs submitted at At, in addition to the rate
	ServerSkew bool          // all of them to one job server
}

// Fault is one failure, or one action of a user.
type Fault struct {
	Kind    FaultKind
	At, For time.Duration
	Pool    int
	Server  int
	Node    int
	N       int
}

func (f Fault) String() string {
	return fmt.Sprintf(
		"%s at %s for %s (pool %d, server %d, node %d, n %d)", f.Kind, f.At.Round(time.Millisecond),
		f.For.Round(time.Millisecond), f.Pool, f.Server, f.Node, f.N,
	)
}

// FaultKind names a kind of fault.
type FaultKind string

// maxJobTime bounds a job, so that the end of a world does not wait long.
const maxJobTime = 100 * time.Second

// NewPlan makes the plan of a seed.
func NewPlan(seed uint64) *Plan {
	g := generator{rand.New(rand.NewPCG(seed, 0x91a4))}
	p := &Plan{Seed: seed, For: g.between(10*time.Minute, 15*time.Minute), Servers: 1 + g.IntN(3), Nodes: 3 + g.IntN(6)}
	most := int32(0)
	for i := range 1 + g.IntN(10)/6 { // one pool, or two in four of ten seeds
		p.Pools = append(p.Pools, g.pool(p, i))
		most += p.Pools[i].Max
	}
	if len(p.Pools) == 2 && g.chance(0.6) {
		g.separate(p)
	}
	p.addFeatures()
	p.addSets()
	p.addRetries()
	// There is room for all pools at their maximum, a rollout, and one missing node.
	p.PerNode = 2 + int(most)*5/4/(p.Nodes-1) + g.IntN(6)
	for i := range []int{0, 1, 2, 2, 3, 3, 3, 4, 4, 5}[g.IntN(10)] {
		f := g.fault(p)
		if i < len(strides) { // each kind gets its share of any run of seeds
			f = g.faultOf(p, &kinds[(seed*strides[i]+uint64(13*i))%uint64(len(kinds))])
		}
		p.Faults = append(p.Faults, f)
	}
	p.addNeighbor()
	p.addApart()
	p.addTLS()
	slices.SortStableFunc(p.Faults, func(a, b Fault) int { return int(a.At - b.At) })
	p.Faults = withoutOverlaps(p.Faults)
	return p
}

// withoutOverlaps leaves out a job server's fault that begins while the same fault is active: the
// end of the first would end both.
func withoutOverlaps(faults []Fault) (kept []Fault) {
	for _, f := range faults {
		if kindNamed(f.Kind).class&ofServer == 0 || !slices.ContainsFunc(kept, func(before Fault) bool {
			return before.Kind == f.Kind && before.Server == f.Server && before.At+before.For >= f.At
		}) {
			kept = append(kept, f)
		}
	}
	return kept
}

// strides step through all kinds of faults from seed to seed. They are primes that don't divide the
// number of kinds.
var strides = [...]uint64{1, 11, 17}

// separate gives each of two pools job servers of its own, so that trouble with one tenant's does
// not affect the other.
func (g generator) separate(p *Plan) {
	p.Servers++
	p.Pools[1].Servers = []int{p.Servers - 1}
}

type generator struct{ *rand.Rand }

func (g generator) between(least, most time.Duration) time.Duration {
	return least + time.Duration(g.Int64N(int64(most-least)+1))
}

func (g generator) chance(p float64) bool { return g.Float64() < p }

func (g generator) pool(p *Plan, i int) PoolPlan {
	pool := PoolPlan{
		Name: fmt.Sprintf("pool%d", i), Functions: []string{fmt.Sprintf("f%d", i)}, Max: int32(5 + g.IntN(30)),
		Concurrency: 1, Drain: int32(120 + g.IntN(300)),
		Graceful: g.chance(0.1), Named: g.chance(0.5),
	}
	if g.chance(0.25) {
		pool.Functions = append(pool.Functions, pool.Functions[0]+"b")
	}
	if g.chance(0.3) {
		pool.Min = int32(1 + g.IntN(4))
	}
	if g.chance(0.15) {
		pool.Concurrency = int32(2 + g.IntN(4))
	}
	if g.chance(0.2) {
		pool.Poll = int32(1 + g.IntN(10))
	}
	for s := range p.Servers {
		pool.Servers = append(pool.Servers, s)
	}
	pool.Streams = g.streams(p, &pool)
	return pool
}

// streams draws one of a few typical patterns of load.
func (g generator) streams(p *Plan, pool *PoolPlan) []Stream {
	function := func() string { return pool.Functions[g.IntN(len(pool.Functions))] }
	begin := g.between(5*time.Second, 40*time.Second)
	rest := p.For - begin
	switch []int{0, 0, 0, 0, 1, 1, 2, 3, 4, 4, 4, 5}[g.IntN(12)] {
	case 0: // many pods are busy, then few are needed for short jobs
		long := g.between(20*time.Second, 60*time.Second)
		return []Stream{
			{
				Function: function(), At: begin, AtOnce: int(pool.Max) * int(pool.Concurrency) * (1 + g.IntN(2)),
				Mean: long, Spread: 0.3,
			},
			{
				Function: function(), At: begin + long, For: rest - long, PerSecond: 0.5 + 1.5*g.Float64(),
				Mean: g.between(300*time.Millisecond, 1500*time.Millisecond), Spread: 0.5,
			},
		}
	case 1: // bursts with pauses between them
		var out []Stream
		for at := begin; at < p.For-2*time.Minute; at += g.between(90*time.Second, 5*time.Minute) {
			out = append(
				out,
				Stream{
					Function: function(), At: at, AtOnce: 5 + g.IntN(80), Mean: g.between(time.Second, 10*time.Second),
					Spread: 0.6, ServerSkew: g.chance(0.3),
				},
			)
		}
		return out
	case 2: // a job now and then
		return []Stream{
			{
				Function: function(), At: begin, For: rest, PerSecond: 0.01 + 0.05*g.Float64(),
				Mean: g.between(500*time.Millisecond, 20*time.Second), Spread: 0.8,
			},
		}
	case 3: // long jobs
		mean := g.between(20*time.Second, 60*time.Second)
		most := 0.8 * float64(pool.Max*pool.Concurrency) / mean.Seconds()
		return []Stream{
			{
				Function: function(), At: begin, For: rest, PerSecond: min(0.05+0.25*g.Float64(), most), Mean: mean,
				Spread: 0.6,
			},
		}
	case 4: // a load that rises and falls
		var out []Stream
		step := rest / 5
		mean := g.between(time.Second, 8*time.Second)
		for i, share := range []float64{0.2, 0.6, 1, 0.4, 0.1} {
			out = append(out, Stream{
				Function: function(), At: begin + time.Duration(i)*step, For: step, Mean: mean, Spread: 0.5,
				PerSecond: min(share*float64(pool.Max*pool.Concurrency)*0.8/mean.Seconds(), 4),
			})
		}
		return out
	}
	// a single job
	return []Stream{
		{
			Function: function(), At: begin + g.between(0, rest/2), AtOnce: 1,
			Mean: g.between(time.Second, 50*time.Second),
		},
	}
}

func (g generator) fault(p *Plan) Fault {
	return g.faultOf(p, &kinds[g.IntN(len(kinds))])
}

func (g generator) faultOf(p *Plan, k *kind) Fault {
	f := Fault{
		Kind: k.name, At: g.between(time.Minute, p.For-3*time.Minute), Pool: g.IntN(len(p.Pools)),
		Server: g.IntN(p.Servers),
		Node:   g.IntN(p.Nodes), N: g.IntN(100),
	}
	f.For = g.between(k.least, k.most)
	if last := p.Pools[len(p.Pools)-1].Servers; k.class&ofServer != 0 && len(last) == 1 && len(p.Pools) == 2 &&
		g.chance(0.4) {
		f.Server = last[0] // one tenant's job server
	}
	if k.early() && (k.name != commandBroken || f.N%2 == 0) {
		f.At = g.between(0, 40*time.Second) // before the first pods start
	}
	return f
}

// Without returns the plan without some of its faults, by index.
func (p *Plan) Without(drop []int) *Plan {
	out := *p
	out.Faults = nil
	for i, f := range p.Faults {
		if !slices.Contains(drop, i) {
			out.Faults = append(out.Faults, f)
		}
	}
	return &out
}
