package sim

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// Setting is one column of the matrix: a boot time and a target wait, in seconds.
type Setting struct {
	Boot, Target float64
	// Counts is whether the setting is included in the summary: the target is more than twice the
	// boot time, so that a law can meet it by starting pods.
	Counts bool
}

// Settings are the columns of the report.
func Settings() []Setting {
	return []Setting{{10, 30, true}, {30, 90, true}, {60, 180, true}, {30, 30, false}, {60, 30, false}}
}

// Cell is one workload in one setting: the results of each law, over all seeds.
type Cell struct {
	Maker   Maker
	Setting Setting
	Mean    float64 // mean seconds of a job
	Laws    []string
	Results []*Result // in the order of Laws
}

// Result returns the result of the law with that name, or nil if it was not run here.
func (c *Cell) Result(law string) *Result {
	for i := range c.Laws {
		if c.Laws[i] == law {
			return c.Results[i]
		}
	}
	return nil
}

// The names of the variants of the operator's law.
const (
	OurName       = "gearman-operator"
	OurHintThrice = "hint x3"
	OurHintThird  = "hint /3"
	NoTelemetry   = "no telemetry"
	NoTelThrice   = "no telemetry, hint x3"
	NoTelThird    = "no telemetry, hint /3"
	NoTelGraceful = "no telemetry, Graceful"
	Bound         = "lower bound"
)

// Matrix runs every workload in every setting under every law.
type Matrix struct {
	Makers   []Maker
	Settings []Setting
	Seeds    []uint64
	// Rivals and Variants are whether other autoscalers and variants of the operator's law (wrong
	// hints, no telemetry) are run, too.
	Rivals, Variants bool
	// Workers is how many runs are in progress at once.
	Workers int
}

// Run runs the matrix. It starts Workers goroutines and waits for all of them.
func (m *Matrix) Run() []*Cell {
	cells := make([]*Cell, 0, len(m.Makers)*len(m.Settings))
	for _, s := range m.Settings {
		for _, k := range m.Makers {
			c := &Cell{Maker: k, Setting: s, Mean: k.New(m.Seeds[0]).MeanSeconds}
			for _, l := range m.laws(c) {
				c.Laws = append(c.Laws, l.Name())
				c.Results = append(c.Results, &Result{})
			}
			cells = append(cells, c)
		}
	}
	// One task is one workload and seed, under all laws of a cell, so that the jobs are generated
	// only once.
	type job struct {
		cell *Cell
		seed uint64
	}
	work := make(chan job)
	var locks sync.Mutex
	var group sync.WaitGroup
	for range max(1, m.Workers) {
		group.Go(func() {
			var s Simulator
			for j := range work {
				w := j.cell.Maker.New(j.seed)
				for i, l := range m.laws(j.cell) {
					var r *Result
					if b, ok := l.(*bound); ok {
						r = b.run(w, j.cell.Setting)
					} else {
						r = s.Run(
							w, l,
							Config{
								Boot: j.cell.Setting.Boot, Targets: []float64{j.cell.Setting.Target}, Seed: j.seed,
								NoTelemetry: lacksTelemetry(l.Name()),
							},
						)
					}
					locks.Lock()
					j.cell.Results[i].Add(r)
					locks.Unlock()
				}
			}
		})
	}
	for _, c := range cells {
		for _, seed := range m.Seeds {
			work <- job{c, seed}
		}
	}
	close(work)
	group.Wait()
	return cells
}

func lacksTelemetry(name string) bool {
	return name == NoTelemetry || name == NoTelThrice || name == NoTelThird || name == NoTelGraceful
}

// laws returns the laws of a cell.
func (m *Matrix) laws(c *Cell) []Law {
	target := time.Duration(c.Setting.Target * float64(time.Second))
	ours := func(name string, hint float64, down scaling.ScaleDown) Law {
		p := scaling.Policy{
			TargetWait: target, JobTimeHint: time.Duration(hint * float64(time.Second)), ScaleDown: down,
		}
		return &Ours{Label: name, Policy: p}
	}
	laws := []Law{ours(OurName, 0, "")}
	if m.Variants {
		laws = append(laws,
			ours(OurHintThrice, 3*c.Mean, ""), ours(OurHintThird, c.Mean/3, ""),
			ours(NoTelemetry, c.Mean, ""), ours(NoTelThrice, 3*c.Mean, ""), ours(NoTelThird, c.Mean/3, ""),
			ours(NoTelGraceful, c.Mean, scaling.ScaleDownGraceful))
	}
	if m.Rivals {
		for _, t := range []float64{1, 2, 5, 20} {
			laws = append(laws, KEDATuned(t))
		}
		laws = append(laws, KEDADefault(), &KPA{}, &bound{})
	}
	return laws
}

// Tuned returns the cheapest tuned KEDA law of the cell that itself misses at most 1%, or nil if
// none does.
func (c *Cell) Tuned() (string, *Result) {
	var best *Result
	name := ""
	for _, t := range []float64{1, 2, 5, 20} {
		n := KEDATuned(t).Label
		if r := c.Result(n); r != nil && r.MissPercent(0) <= 1 && (best == nil || r.WorkerHours < best.WorkerHours) {
			best, name = r, n
		}
	}
	return name, best
}

// Summary is the end of the report. Ratios are means over the cells in which the rival meets its
// own condition.
type Summary struct {
	WorstMissPercent, HoursRatio, ReversalsRatio    float64
	Interrupted, PartialDowns                       int
	NoTelemetryWorst, WorstHoursRatio, HoursOfTotal float64
	Cells, CellsWithRival                           int
	WorstMissCell, WorstHoursCell, NoTelemetryCell  string
	HintWorst                                       float64
	HintCell                                        string
	// PatchesPerRemoved is how many deletion costs were written for each pod removed, and Created
	// how many pods were created for each one that KEDA created.
	PatchesPerRemoved, CreatedRatio float64
	// ScaleDownP99 is the 99th percentile of the duration of scale-downs, in seconds.
	ScaleDownP99 float64
}

// Summarize summarizes the cells whose setting counts.
func Summarize(cells []*Cell) Summary {
	var s Summary
	var ours, theirs float64
	var ourReversals, theirReversals float64
	var sum, rival Result
	for _, c := range cells {
		r := c.Result(OurName)
		s.Interrupted += r.Interrupted
		s.PartialDowns += r.PartialDowns
		if !c.Setting.Counts || c.Maker.Beyond {
			continue
		}
		s.Cells++
		sum.Patches, sum.Removed = sum.Patches+r.Patches, sum.Removed+r.Removed
		sum.ScaleDowns.merge(&r.ScaleDowns)
		if m := r.MissPercent(0); m > s.WorstMissPercent || s.WorstMissCell == "" {
			s.WorstMissPercent, s.WorstMissCell = m, c.Name()
		}
		for _, n := range []string{OurHintThrice, OurHintThird} {
			if h := c.Result(n); h != nil && h.MissPercent(0) > s.HintWorst {
				s.HintWorst, s.HintCell = h.MissPercent(0), c.Name()+", "+n
			}
		}
		// Without telemetry the promise only covers jobs that a poll can see and that don't run for
		// minutes.
		if c.Mean > 2.5 && c.Mean < 120 {
			for _, n := range []string{NoTelemetry, NoTelThrice, NoTelThird} {
				if d := c.Result(n); d != nil && d.MissPercent(0) > s.NoTelemetryWorst {
					s.NoTelemetryWorst, s.NoTelemetryCell = d.MissPercent(0), c.Name()+", "+n
				}
			}
		}
		if _, t := c.Tuned(); t != nil {
			s.CellsWithRival++
			sum.Created, rival.Created = sum.Created+r.Created, rival.Created+t.Created
			ratio := r.WorkerHours / t.WorkerHours
			s.HoursRatio += ratio
			if ratio > s.WorstHoursRatio {
				s.WorstHoursRatio, s.WorstHoursCell = ratio, c.Name()
			}
			ours, theirs = ours+r.WorkerHours, theirs+t.WorkerHours
			ourReversals, theirReversals = ourReversals+float64(r.Reversals), theirReversals+float64(t.Reversals)
		}
	}
	s.HoursRatio /= math.Max(1, float64(s.CellsWithRival))
	s.HoursOfTotal = ours / max(theirs, 1e-9)
	s.PatchesPerRemoved = float64(sum.Patches) / max(1, float64(sum.Removed))
	s.CreatedRatio = float64(sum.Created) / max(1, float64(rival.Created))
	s.ScaleDownP99 = sum.ScaleDowns.Quantile(0.99)
	s.ReversalsRatio = ourReversals / max(theirReversals, 1)
	return s
}

// Name returns the workload and the setting in words.
func (c *Cell) Name() string {
	return fmt.Sprintf("%s, boot %g s, target %g s", c.Maker.Name, c.Setting.Boot, c.Setting.Target)
}
