package report

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/sim"
)

// bench runs the matrix, writes the report and prints the RESULT line.
func bench(o *Options, stdout io.Writer) error {
	m := sim.Matrix{
		Makers: sim.Makers(), Settings: sim.Settings(), Rivals: true, Variants: true, Workers: runtime.GOMAXPROCS(0),
	}
	if o.Short {
		m.Makers, m.Settings = m.Makers[:7], m.Settings[:1]
	}
	for i := range o.Seeds {
		m.Seeds = append(m.Seeds, o.First+uint64(i))
	}
	cells := m.Run()
	s := sim.Summarize(cells)
	text := markdown(&m, cells, s)
	if o.Out != "" {
		if err := os.MkdirAll(o.Out, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(o.Out, "report.md"), []byte(text), 0o644); err != nil {
			return err
		}
		if err := plots(o, m.Makers, cells); err != nil {
			return err
		}
	}
	if o.Page != "" {
		if err := updatePage(o.Page, figures(&m, cells, s)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(stdout, "%s\nRESULT {\"worst_miss_percent\":%.3f,\"worker_hours_vs_tuned_keda_ratio\":%.3f,\"reversals_vs_tuned_keda_ratio\":%.3f,\"interrupted_jobs\":%d,\"partial_scale_downs\":%d,\"no_telemetry_worst_miss_percent\":%.3f,\"pod_patches_per_removed_pod\":%.3f,\"scale_down_seconds_p99\":%.1f,\"pods_created_vs_tuned_keda_ratio\":%.3f}\n",
		text, s.WorstMissPercent, s.HoursRatio, s.ReversalsRatio, s.Interrupted, s.PartialDowns, s.NoTelemetryWorst,
		s.PatchesPerRemoved, s.ScaleDownP99, s.CreatedRatio)
	return err
}

// markdown returns the report as text and tables.
func markdown(m *sim.Matrix, cells []*sim.Cell, s sim.Summary) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# How the scaling law fares\n\nSeeds %d to %d, one default setting (no hint, 5 s poll). A cell is one workload with one boot time and one target wait, summed over the seeds.\n\n",
		m.Seeds[0], m.Seeds[len(m.Seeds)-1])
	fmt.Fprintf(
		&b, "- Worst share of late jobs: %.2f%% (%s). With hints wrong threefold: %.2f%% (%s).\n", s.WorstMissPercent,
		s.WorstMissCell, s.HintWorst, s.HintCell,
	)
	fmt.Fprintf(&b, "- Worker-hours against KEDA with the cheapest T of 1, 2, 5, 20 that has at most 1%% late, chosen for each cell: %.3f on average of %d cells, %.3f of the sum; worst cell %.2f (%s). In %d of %d cells no such T exists.\n",
		s.HoursRatio, s.CellsWithRival, s.HoursOfTotal, s.WorstHoursRatio, s.WorstHoursCell,
		s.Cells-s.CellsWithRival, s.Cells)
	fmt.Fprintf(
		&b, "- Reversals against the same: %.2f. Interrupted jobs: %d. Scale-downs on partial data: %d.\n",
		s.ReversalsRatio, s.Interrupted, s.PartialDowns,
	)
	fmt.Fprintf(
		&b,
		"- Pod patches for each removed pod: %.2f. 99%% of the scale-downs took at most %.0f s. Pods made against the same: %.2f.\n",
		s.PatchesPerRemoved, s.ScaleDownP99, s.CreatedRatio,
	)
	fmt.Fprintf(
		&b, "- Without telemetry, hints right or wrong threefold, jobs of 2.5 to 120 s: at worst %.2f%% late (%s).\n",
		s.NoTelemetryWorst, s.NoTelemetryCell,
	)
	for _, set := range m.Settings {
		fmt.Fprintf(&b, "\n## Pods start in %g s, target wait %g s\n\n", set.Boot, set.Target)
		if !set.Counts {
			b.WriteString("The target can't be met by starting pods: not in the summary.\n\n")
		}
		b.WriteString(
			"Late jobs in %, p99 wait in s, worker-hours (beside ours as a ratio to ours), reversals. \"tuned\" is KEDA's cheapest T with at most 1% late.\n\n",
		)
		b.WriteString(
			"| workload | ours: late | p99 | hours | actions | reversals | s to peak | tuned: T | late | p99 | hours | reversals | KEDA default: late | hours | Knative: late | hours | bound: hours | no telemetry: late (right, x3, /3) | hours |\n",
		)
		b.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
		for _, c := range cells {
			if c.Setting == set {
				row(&b, c, len(m.Seeds))
			}
		}
	}
	return b.String()
}

func row(b *strings.Builder, c *sim.Cell, seeds int) {
	r := c.Result(sim.OurName)
	n := float64(seeds)
	fmt.Fprintf(
		b, "| %s | %.2f | %.1f | %.2f | %.0f | %.1f | %.0f |", title(c.Maker), r.MissPercent(0), r.Quantile(0.99),
		r.WorkerHours/n, float64(r.Actions)/n, float64(r.Reversals)/n, r.TimeToPeak,
	)
	if label, t := c.Tuned(); t != nil {
		fmt.Fprintf(
			b, " %s | %.2f | %.1f | %.2f | %.1f |", strings.TrimPrefix(label, "KEDA T="), t.MissPercent(0),
			t.Quantile(0.99), t.WorkerHours/r.WorkerHours, float64(t.Reversals)/n,
		)
	} else {
		b.WriteString(" none | | | | |")
	}
	for _, law := range []string{"KEDA default", "Knative KPA"} {
		x := c.Result(law)
		fmt.Fprintf(b, " %.1f | %.2f |", x.MissPercent(0), x.WorkerHours/r.WorkerHours)
	}
	fmt.Fprintf(b, " %.2f |", c.Result(sim.Bound).WorkerHours/r.WorkerHours)
	if d := c.Result(sim.NoTelemetry); d != nil {
		fmt.Fprintf(
			b, " %.2f, %.2f, %.2f | %.2f |\n", d.MissPercent(0), c.Result(sim.NoTelThrice).MissPercent(0),
			c.Result(sim.NoTelThird).MissPercent(0), d.WorkerHours/r.WorkerHours,
		)
	} else {
		b.WriteString(" | |\n")
	}
}

// plots draws the ratios of all cells, and the course of a few runs.
func plots(o *Options, makers []sim.Maker, cells []*sim.Cell) error {
	names := make([]string, 0, len(makers))
	var groups []string
	var hours, reversals [][]float64
	for _, m := range makers {
		names = append(names, m.Name)
	}
	for _, set := range sim.Settings() {
		if !set.Counts {
			continue
		}
		h, r := make([]float64, len(names)), make([]float64, len(names))
		found := false
		for _, c := range cells {
			if c.Setting != set {
				continue
			}
			found = true
			if _, t := c.Tuned(); t != nil {
				ours := c.Result(sim.OurName)
				for i := range names {
					if names[i] == c.Maker.Name {
						h[i] = ours.WorkerHours / t.WorkerHours
						r[i] = float64(ours.Reversals) / max(1, float64(t.Reversals))
					}
				}
			}
		}
		if found {
			groups = append(groups, fmt.Sprintf("boot %g s, target %g s", set.Boot, set.Target))
			hours, reversals = append(hours, h), append(reversals, r)
		}
	}
	if err := BarPlot(
		filepath.Join(o.Out, "hours."+o.Format), "Worker-hours: ours / KEDA tuned for the cell",
		"ratio (no bar: no T has at most 1% late)", names, groups, hours,
	); err != nil {
		return err
	}
	if err := BarPlot(
		filepath.Join(o.Out, "reversals."+o.Format), "Reversals: ours / KEDA tuned for the cell", "ratio", names,
		groups, reversals,
	); err != nil {
		return err
	}
	for _, name := range []string{"spike", "flash crowd", "2 min jobs", "diurnal"} {
		for _, m := range makers {
			if m.Name != name {
				continue
			}
			if err := course(o, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// course draws one run under the operator's law, KEDA's defaults, and KEDA with one job and with
// five jobs per replica.
func course(o *Options, m sim.Maker) error {
	w := m.New(o.First)
	var s sim.Simulator
	series := make([]Series, 0, 4)
	for _, l := range []sim.Law{
		&sim.Ours{Label: sim.OurName, Policy: scaling.Policy{TargetWait: 30 * time.Second}}, sim.KEDADefault(),
		sim.KEDATuned(1), sim.KEDATuned(5),
	} {
		one := Series{Law: l.Name()}
		s.Run(
			w, l,
			sim.Config{
				Boot: 10, Targets: []float64{30}, Seed: o.First,
				Trace: func(p sim.Point) { one.Points = append(one.Points, p) },
			},
		)
		series = append(series, one)
	}
	return RunPlot(
		filepath.Join(o.Out, fileName(m.Name)+"."+o.Format),
		fmt.Sprintf("%s: %s (pods start in 10 s, target 30 s)", m.Name, m.About), series, 30,
	)
}
