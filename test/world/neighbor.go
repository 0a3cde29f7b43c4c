package world

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// featureNeighbor is a pool that repeatedly scales to zero and back while another pool's job
// servers hang or are slow for minutes. *isolation* judges it.
const featureNeighbor = "neighbor"

// addNeighbor gives one seed in ten a neighbor, with a job server of its own. It draws from a
// source of its own and runs after the faults are drawn, so that the other seeds stay unchanged.
func (p *Plan) addNeighbor() {
	g := generator{rand.New(rand.NewPCG(p.Seed, 0x9e16))}
	if !g.chance(0.12) {
		return
	}
	i := len(p.Pools)
	pool := PoolPlan{
		Name: fmt.Sprintf("pool%d", i), Functions: []string{fmt.Sprintf("f%d", i)}, Servers: []int{p.Servers},
		Max: int32(2 + g.IntN(6)), Concurrency: 1, Drain: int32(120 + g.IntN(300)), Named: g.chance(0.5),
	}
	p.Servers++
	for at := g.between(40*time.Second, 80*time.Second); at < p.For-time.Minute; {
		pool.Streams = append(pool.Streams, Stream{
			Function: pool.Functions[0], At: at, AtOnce: 1 + g.IntN(3),
			Mean: g.between(500*time.Millisecond, 5*time.Second), Spread: 0.5,
		})
		at += g.between(50*time.Second, 110*time.Second)
	}
	kind, begin, lasts := FaultKind("server-hangs"), g.between(30*time.Second, 2*time.Minute),
		g.between(4*time.Minute, 7*time.Minute)
	if g.chance(0.4) {
		kind = "server-slow"
	}
	for _, server := range p.Pools[0].Servers {
		p.Faults = append(p.Faults, Fault{Kind: kind, At: begin, For: lasts, Server: server, N: g.IntN(100)})
	}
	p.Pools, p.Neighbor = append(p.Pools, pool), true
	p.PerNode += 1 + int(pool.Max)*5/4/(p.Nodes-1)
}
