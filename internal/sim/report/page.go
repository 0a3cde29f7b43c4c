package report

import (
	"fmt"
	"os"
	"strings"

	"github.com/gearman-operator/gearman-operator/internal/sim"
)

// The figures on a page of the docs are between these two lines.
const (
	pageBegin = "<!-- figures: begin (make law-docs) -->\n"
	pageEnd   = "<!-- figures: end -->\n"
)

// updatePage replaces the figures between the marks on a page.
func updatePage(file, figures string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(data), pageBegin)
	_, after, ends := strings.Cut(rest, pageEnd)
	if !begins || !ends {
		return fmt.Errorf(
			"%s lacks the lines %q and %q between which the figures go", file, strings.TrimSpace(pageBegin),
			strings.TrimSpace(pageEnd),
		)
	}
	return os.WriteFile(file, []byte(before+pageBegin+figures+pageEnd+after), 0o644)
}

// figures returns the tables for the page about the law.
func figures(m *sim.Matrix, cells []*sim.Cell, s sim.Summary) string {
	var b strings.Builder
	writeSummary(&b, m, s)
	writeFast(&b, m, cells)
	writeSlow(&b, m, cells)
	return b.String()
}

func writeSummary(b *strings.Builder, m *sim.Matrix, s sim.Summary) {
	fmt.Fprintf(
		b, "\nSeeds %d to %d, %d workloads.\n\n| | target | result |\n|---|--:|--:|\n", m.Seeds[0],
		m.Seeds[len(m.Seeds)-1], len(m.Makers),
	)
	fmt.Fprintf(b, "| late jobs, worst cell | 1%% | %.2f%% (%s) |\n", s.WorstMissPercent, s.WorstMissCell)
	fmt.Fprintf(
		b, "| the same with the hint three times too high or too low | | %.2f%% (%s) |\n", s.HintWorst, s.HintCell,
	)
	fmt.Fprintf(
		b, "| worker-hours against tuned KEDA, mean of the cells (of the sums) | 0.95 | %.3f (%.3f) |\n", s.HoursRatio,
		s.HoursOfTotal,
	)
	fmt.Fprintf(b, "| worst single cell | 1.25 | %.2f (%s) |\n", s.WorstHoursRatio, s.WorstHoursCell)
	fmt.Fprintf(b, "| reversals against tuned KEDA | 0.7 | %.2f |\n", s.ReversalsRatio)
	fmt.Fprintf(
		b, "| interrupted jobs; scale-downs on partial data | 0; 0 | %d; %d |\n", s.Interrupted, s.PartialDowns,
	)
	fmt.Fprintf(b, "| pod patches for each removed pod | 2 | %.2f |\n", s.PatchesPerRemoved)
	fmt.Fprintf(b, "| duration of a scale-down, 99th percentile | | %.0f s |\n", s.ScaleDownP99)
	fmt.Fprintf(b, "| pods created against tuned KEDA | | %.2f |\n", s.CreatedRatio)
	fmt.Fprintf(
		b,
		"| without telemetry, hint right, x3 or /3, jobs of 2.5 to 120 s: late jobs, worst cell | 2%% | %.2f%% (%s) |\n",
		s.NoTelemetryWorst, s.NoTelemetryCell,
	)
	fmt.Fprintf(
		b, "\nIn %d of %d cells no tuned T has at most 1%% late jobs; they are left out of the ratios.\n",
		s.Cells-s.CellsWithRival, s.Cells,
	)
	b.WriteString(
		"\n![worker-hours against KEDA tuned for each cell](img/law/hours.svg)\n\n![reversals against the same](img/law/reversals.svg)\n",
	)
}

// writeFast writes the table of the first setting, in which pods start the fastest.
func writeFast(b *strings.Builder, m *sim.Matrix, cells []*sim.Cell) {
	first := m.Settings[0]
	fmt.Fprintf(
		b,
		"\nPods that start in %g s, target wait %g s (hours of others as a ratio to ours; *late* in %% of jobs;\n\"no telemetry\" with the right hint, x3 and /3):\n\n",
		first.Boot, first.Target,
	)
	b.WriteString(
		"| workload | ours: late | p99 wait s | hours | actions | reversals | tuned T | its hours | its reversals | KEDA default: late | hours | Knative: late | hours | bound | no telemetry: late |\n",
	)
	b.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	n := float64(len(m.Seeds))
	for _, c := range cells {
		if c.Setting != first {
			continue
		}
		r := c.Result(sim.OurName)
		fmt.Fprintf(
			b, "| %s | %.2f | %.1f | %.2f | %.0f | %.1f |", title(c.Maker), r.MissPercent(0), r.Quantile(0.99),
			r.WorkerHours/n, float64(r.Actions)/n, float64(r.Reversals)/n,
		)
		if label, t := c.Tuned(); t != nil {
			fmt.Fprintf(
				b, " %s | %.2f | %.1f |", strings.TrimPrefix(label, "KEDA T="), t.WorkerHours/r.WorkerHours,
				float64(t.Reversals)/n,
			)
		} else {
			b.WriteString(" none | | |")
		}
		for _, law := range []string{"KEDA default", "Knative KPA"} {
			x := c.Result(law)
			fmt.Fprintf(b, " %.1f | %.2f |", x.MissPercent(0), x.WorkerHours/r.WorkerHours)
		}
		fmt.Fprintf(b, " %.2f | %.2f, %.2f, %.2f |\n", c.Result(sim.Bound).WorkerHours/r.WorkerHours,
			c.Result(sim.NoTelemetry).MissPercent(0), c.Result(sim.NoTelThrice).MissPercent(0),
			c.Result(sim.NoTelThird).MissPercent(0))
	}
}

// writeSlow writes the table of the other settings.
func writeSlow(b *strings.Builder, m *sim.Matrix, cells []*sim.Cell) {
	b.WriteString(
		"\nOurs with slower starts (hours as a ratio to tuned KEDA; \"-\": no tuned T has at most 1% late):\n\n| workload |",
	)
	for _, set := range m.Settings[1:] {
		fmt.Fprintf(b, " %g s, target %g s: late |", set.Boot, set.Target)
		if set.Counts {
			b.WriteString(" p99 wait s | hours / tuned |")
		}
	}
	b.WriteString("\n|---|" + strings.Repeat("--:|", 2*counting(m.Settings[1:])+len(m.Settings)-1) + "\n")
	for _, k := range m.Makers {
		fmt.Fprintf(b, "| %s |", title(k))
		for _, set := range m.Settings[1:] {
			c := find(cells, k.Name, set)
			r := c.Result(sim.OurName)
			fmt.Fprintf(b, " %.2f |", r.MissPercent(0))
			if !set.Counts {
				continue
			}
			if _, t := c.Tuned(); t != nil {
				fmt.Fprintf(b, " %.1f | %.2f |", r.Quantile(0.99), r.WorkerHours/t.WorkerHours)
			} else {
				fmt.Fprintf(b, " %.1f | - |", r.Quantile(0.99))
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

func counting(settings []sim.Setting) (n int) {
	for _, s := range settings {
		if s.Counts {
			n++
		}
	}
	return n
}

func find(cells []*sim.Cell, workload string, set sim.Setting) *sim.Cell {
	for _, c := range cells {
		if c.Maker.Name == workload && c.Setting == set {
			return c
		}
	}
	return nil
}

// title returns a workload's name in a table.
func title(m sim.Maker) string {
	switch {
	case m.Held:
		return m.Name + " (held out)"
	case m.Beyond:
		return m.Name + " (does not count)"
	}
	return m.Name
}
