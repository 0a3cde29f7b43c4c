package world

import (
	"math/rand/v2"
	"slices"
	"time"
)

// apart is a table of faults like kinds, but each fault draws from a source of its own, so that a
// new one leaves the faults of the other seeds unchanged. Each occurs in a twelfth of the seeds.
var apart []kind

// twoLeaders is the fault of an operator that continues after another one has taken the lease,
// because its machine stood still. Its writes are late.
const twoLeaders = "two-leaders"

func init() { // the table's functions find their own entries in it
	apart = []kind{
		{twoLeaders, ofLeader, 2 * time.Second, 20 * time.Second, 150 * time.Second, func(w *World, f Fault) func() {
			next := w.newProduct()
			if next == nil {
				return func() {} // it has failed the run
			}
			old := w.product
			w.product = next
			old.setLate(time.Duration(500+75*f.N) * time.Millisecond)
			next.lead()
			return func() {
				old.kill()
				w.wg.Go(old.wg.Wait) // its earlier requests still arrive
			}
		}},
	}
}

// everyKind returns all kinds of faults.
func everyKind() []kind { return slices.Concat(kinds, apart, ofTLS) }

// addApart adds faults of the table apart.
func (p *Plan) addApart() {
	for i := range apart {
		g := generator{rand.New(rand.NewPCG(p.Seed, 0xa9a7+uint64(i)))}
		if g.chance(1. / 12) {
			p.Faults = append(p.Faults, g.faultOf(p, &apart[i]))
		}
	}
}
