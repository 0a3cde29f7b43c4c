//go:build worldreplay

package world

import (
	oldrand "math/rand"
	"math/rand/v2"
	"sync/atomic"
	_ "unsafe" // for go:linkname

	"github.com/gearman-operator/gearman-operator/test/world/dice"
)

// globalRand and globalRandGenerator are the sources of the top-level functions of math/rand/v2 and
// math/rand. The product and its libraries draw their jitter from them. To replay a seed, the
// jitter must follow from it. The linker allows this only with -checklinkname=0, so it is compiled
// only into the world's own binary (build tag worldreplay).
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
