// Package dice draws a world's random numbers. A draw follows from the seed, the name of the
// drawer, and the time. It does not depend on how many draws came before, nor on which of two
// goroutines that run at one instant comes first. So a small difference between two runs of a seed
// stays small.
package dice

import (
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"
)

// Dice are the draws of one seed.
type Dice struct {
	seed uint64

	mu      sync.Mutex
	streams map[string]*Stream
}

// New returns the dice of a seed.
func New(seed uint64) *Dice { return &Dice{seed: seed, streams: map[string]*Stream{}} }

// rand returns the draws for a name. d.mu is held.
func (d *Dice) rand(name string) *rand.Rand {
	s := d.streams[name]
	if s == nil {
		h := fnv.New64a()
		h.Write([]byte(name))
		s = NewStream(d.seed ^ h.Sum64())
		d.streams[name] = s
	}
	return rand.New(s)
}

// Between draws a time from least to most.
func (d *Dice) Between(name string, least, most time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return least + time.Duration(d.rand(name).Int64N(int64(most-least)+1))
}

// Chance is true with probability p.
func (d *Dice) Chance(name string, p float64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand(name).Float64() < p
}

// Uint64 draws 64 bits.
func (d *Dice) Uint64(name string) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand(name).Uint64()
}

// Stream is a source of random numbers that follow from its seed and the time.
type Stream struct {
	seed uint64

	mu sync.Mutex
	at int64
	n  uint64 // draws at that time
}

// NewStream returns a source.
func NewStream(seed uint64) *Stream { return &Stream{seed: seed} }

// Uint64 implements rand.Source.
func (s *Stream) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now().UnixNano(); now != s.at {
		s.at, s.n = now, 0
	}
	s.n++
	x := s.seed ^ uint64(s.at)*0x9e3779b97f4a7c15 ^ s.n*0xd1b54a32d192ed03
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9 // splitmix64
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Int63 and Seed make Stream a source of math/rand too.
func (s *Stream) Int63() int64 { return int64(s.Uint64() >> 1) }

// Seed does nothing: the seed is given once.
func (s *Stream) Seed(int64) {}
