package scaling

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// FuzzRemoval simulates random pools round by round. Whatever the ReplicaSet controller has seen by
// then, and whichever it chooses among equals, each pod that it removes may be removed at the time
// of the decision.
func FuzzRemoval(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed, uint8(seed%8))
	}
	f.Fuzz(func(t *testing.T, seed uint64, mode uint8) {
		rng := rand.New(rand.NewPCG(seed, 77))
		g := newFuzzPool(rng, mode)
		for range 40 {
			g.evolve()
			in := g.in
			in.Pods = slices.Clone(g.in.Pods)
			out, s := Remove(&in, g.state)
			g.state = s
			if out.Replicas > g.in.Replicas || out.Replicas < min(g.in.Want, g.in.Replicas) {
				t.Fatalf("%d replicas of %d, want %d", out.Replicas, g.in.Replicas, g.in.Want)
			}
			if out.Replicas < g.in.Replicas && g.in.Replicas <= g.in.Ceiling {
				if !g.in.Complete {
					t.Fatalf("from %d to %d replicas without a complete answer", g.in.Replicas, out.Replicas)
				}
				g.checkTies(t, out.Replicas)
			}
			g.apply(&out)
		}
	})
}

type fuzzPool struct {
	rng   *rand.Rand
	in    RemovalInput
	state RemovalState
	views map[string][]costView // by UID: what the ReplicaSet controller may see
	next  int
}

// costView is a deletion cost that a component may see until the given time (zero: until another is
// seen).
type costView struct {
	cost  int32
	until time.Time
}

func newFuzzPool(rng *rand.Rand, mode uint8) *fuzzPool {
	g := &fuzzPool{rng: rng, views: map[string][]costView{}}
	g.in = RemovalInput{
		Now: epochOfTest, Poll: removalPoll, Ceiling: 1000, Complete: true, Answer: epochOfTest,
		Graceful: mode&1 != 0 && rng.IntN(2) == 0, Drains: mode&2 != 0,
		Kind: WorkloadKind(rng.IntN(2) * int(mode>>2&1)),
	}
	for range 1 + rng.IntN(25) {
		g.create()
	}
	g.in.Replicas = int32(len(g.in.Pods))
	return g
}

func (g *fuzzPool) create() {
	uid := fmt.Sprintf("pod-%d", g.next)
	g.next++
	g.in.Pods = append(g.in.Pods, Pod{UID: uid, Owned: g.rng.IntN(20) > 0, Created: g.in.Now})
	g.views[uid] = []costView{{}}
}

// evolve advances the time: pods start, run jobs, become unready, stop reporting; Kubernetes
// removes surplus pods; sometimes fewer are wanted.
func (g *fuzzPool) evolve() {
	rng := g.rng
	g.in.Now = g.in.Now.Add(time.Duration(500+rng.IntN(6000)) * time.Millisecond)
	polled := rng.IntN(4) > 0
	if polled {
		g.in.Answer = g.in.Now
		g.in.Unexplained = int64(max(0, rng.IntN(4)-2))
	}
	g.in.Complete = rng.IntN(10) > 0
	for i := range g.in.Pods {
		g.evolvePod(&g.in.Pods[i], polled)
	}
	if polled {
		g.in.Running = g.in.Unexplained
		for i := range g.in.Pods {
			g.in.Running += int64(g.in.Pods[i].Busy)
		}
	}
	if rng.IntN(2) == 0 {
		g.remove()
	}
	for int32(g.owned()) < g.in.Replicas && rng.IntN(3) > 0 {
		g.create()
	}
	if rng.IntN(3) == 0 {
		g.in.Want = int32(rng.IntN(len(g.in.Pods) + 2))
	}
	if rng.IntN(10) == 0 && g.in.Replicas < 30 {
		g.in.Replicas += int32(rng.IntN(4))
	}
	g.in.Ceiling = 1000
	if rng.IntN(20) == 0 {
		g.in.Ceiling = max(0, g.in.Replicas-1)
		g.in.Want = min(g.in.Want, g.in.Ceiling)
	}
}

func (g *fuzzPool) evolvePod(p *Pod, polled bool) {
	rng := g.rng
	switch {
	case !p.Assigned:
		p.Assigned = rng.IntN(2) == 0
	case p.Phase == PhasePending:
		p.Phase = []Phase{PhasePending, PhaseRunning}[rng.IntN(2)]
	case !p.Ready && !p.WasReady && rng.IntN(2) == 0, !p.Ready && p.WasReady && rng.IntN(6) == 0:
		p.Ready, p.WasReady, p.Stopped = true, true, false
		p.ReadySince = g.in.Now.Add(-time.Duration(rng.IntN(2000)) * time.Millisecond)
	case p.Ready && rng.IntN(40) == 0:
		p.Ready, p.Stopped = false, rng.IntN(2) == 0
	case p.Ready && rng.IntN(60) == 0:
		p.Phase = PhaseUnknown
	}
	if polled && p.Ready && rng.IntN(20) > 0 {
		p.Heard, p.Busy = g.in.Now, int32(max(0, rng.IntN(5)-3))
	}
	// The cache shows a write within a second or two.
	seen := g.views[p.UID]
	if last := seen[len(seen)-1]; p.Cost != last.cost && rng.IntN(3) > 0 {
		p.Cost = last.cost
		for k := range seen[:len(seen)-1] {
			if seen[k].until.IsZero() {
				seen[k].until = g.in.Now.Add(removalSettle)
			}
		}
	}
	g.views[p.UID] = slices.DeleteFunc(
		seen, func(v costView) bool { return !v.until.IsZero() && !v.until.After(g.in.Now) },
	)
}

func (g *fuzzPool) owned() (n int) {
	for i := range g.in.Pods {
		if g.in.Pods[i].Owned && !g.in.Pods[i].Terminating {
			n++
		}
	}
	return n
}

// seen is one of the ways in which the ReplicaSet controller may see the pods now.
func (g *fuzzPool) seen() []Pod {
	pods := slices.Clone(g.in.Pods)
	for i := range pods {
		p := &pods[i]
		views := g.views[p.UID]
		p.Cost = views[g.rng.IntN(len(views))].cost
		if p.Ready && g.in.Now.Sub(p.ReadySince) < removalSettle && g.rng.IntN(2) == 0 {
			p.Ready, p.Phase = false, []Phase{PhasePending, PhaseRunning}[g.rng.IntN(2)]
		}
	}
	return pods
}

func (g *fuzzPool) checkTies(t *testing.T, replicas int32) {
	for range 20 {
		order := kubernetesOrder(g.seen(), g.rng)
		for _, p := range order[:max(0, len(order)-max(0, int(replicas)))] {
			q := g.in.Pods[slices.IndexFunc(g.in.Pods, func(q Pod) bool { return q.UID == p.UID })]
			if !g.harmless(&q) {
				t.Fatalf(
					"to %d replicas, %d wanted: pod %+v goes, which may work; unexplained %d\nall: %+v", replicas,
					g.in.Want, q, g.in.Unexplained, order,
				)
			}
		}
	}
}

// harmless reports whether a pod may be removed, by rules of its own: it can't be busy as far as
// anything shows, or it finishes its jobs.
func (g *fuzzPool) harmless(p *Pod) bool {
	known := g.known(p)
	switch {
	case p.Stopped || g.in.Graceful:
		return true
	case known && p.Busy > 0:
		return g.in.Drains && p.Ready
	case known, !p.Ready && !p.WasReady:
		return true
	}
	if g.in.Unexplained > 0 {
		return false
	}
	elsewhere := int64(0)
	for i := range g.in.Pods {
		if q := &g.in.Pods[i]; g.known(q) {
			elsewhere += int64(q.Busy)
		}
	}
	// otherwise this pod may have a job that it reported long ago, or one that it took since
	return elsewhere >= g.in.Running
}

// known reports whether it is known which jobs a pod runs.
func (g *fuzzPool) known(p *Pod) bool {
	return !p.Heard.IsZero() && g.in.Now.Sub(p.Heard) <= 3*removalPoll
}

// remove is the ReplicaSet controller.
func (g *fuzzPool) remove() {
	order := kubernetesOrder(g.seen(), g.rng)
	for _, p := range order[:max(0, len(order)-max(0, int(g.in.Replicas)))] {
		i := slices.IndexFunc(g.in.Pods, func(q Pod) bool { return q.UID == p.UID })
		g.in.Pods[i].Terminating = true
	}
	g.in.Pods = slices.DeleteFunc(g.in.Pods, func(p Pod) bool { return p.Terminating && g.rng.IntN(3) == 0 })
}

// apply writes a decision; a patch in ten is lost.
func (g *fuzzPool) apply(out *Removal) {
	for _, p := range out.Patches {
		if g.rng.IntN(10) > 0 {
			g.views[p.UID] = append(g.views[p.UID], costView{cost: p.Cost})
		}
	}
	g.in.Replicas = out.Replicas
}
