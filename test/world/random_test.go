//go:build worldreplay

package world

import (
	oldrand "math/rand"
	"math/rand/v2"
	"sync/atomic"
	_ "unsafe" // for go:linkname

	"github.com/gearman-operator/gearman-operator/test/world/dice"
)

// These are what the top-level functions of math/rand/v2 and math/rand draw from. The product and
// its libraries draw their jitter there, and to replay a seed it has to follow from the seed. The
// linker allows this only with -checklinkname=0, so it is compiled into the world's own binary
// alone (build tag worldreplay).
//
//go:linkname globalRand math/rand/v2.globalRand
var globalRand *rand.Rand

//go:linkname globalRandGenerator math/rand.globalRandGenerator
var globalRandGenerator atomic.Pointer[oldrand.Rand]

func init() {
	seedGlobalRand = func(seed uint64) {
		*globalRand = *rand.New(dice.NewStream(seed))
		globalRandGenerator.Store(oldrand.New(dice.NewStream(seed + 1)))
	}
}
