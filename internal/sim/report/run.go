package report

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/gearman-operator/gearman-operator/internal/sim"
)

// Run runs what the options request.
func Run(o *Options, stdout io.Writer) error {
	if o.Bench {
		return bench(o, stdout)
	}
	series, err := play(o, stdout)
	if err != nil || o.Out == "" {
		return err
	}
	file := filepath.Join(o.Out, fileName(o.Workload.Name)+"."+o.Format)
	if err := RunPlot(file, o.Workload.Name, series, o.Config.Targets[0]); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "\nplot: %s\n", file)
	return err
}

// play runs the workload under each law and prints a table.
func play(o *Options, stdout io.Writer) ([]Series, error) {
	laws := []sim.Law{
		&sim.Ours{Label: sim.OurName, At: o.Policy}, sim.KEDADefault(), sim.KEDATuned(1), sim.KEDATuned(5),
		sim.KEDATuned(20), &sim.KPA{},
	}
	w := o.Workload
	fmt.Fprintf(
		stdout, "%s: %d jobs of %.3g s on average, pods start in %g s, target wait %g s\n\n", w.Name, len(w.Jobs),
		w.MeanSeconds, o.Config.Boot, o.Config.Targets[0],
	)
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(
		t,
		"law\tlate %\tp50 wait s\tp99 wait s\tworker-hours\tactions\treversals\tpeak pods\ts to 90% of it\tinterrupted",
	)
	var s sim.Simulator
	series := make([]Series, 0, len(laws))
	for _, l := range laws {
		c := o.Config
		one := Series{Law: l.Name()}
		c.Trace = func(p sim.Point) { one.Points = append(one.Points, p) }
		r := s.Run(w, l, c)
		series = append(series, one)
		fmt.Fprintf(
			t, "%s\t%.2f\t%.1f\t%.1f\t%.2f\t%d\t%d\t%d\t%.0f\t%d\n", l.Name(), r.MissPercent(0), r.Quantile(0.5),
			r.Quantile(0.99), r.WorkerHours, r.Actions, r.Reversals, r.Peak, r.TimeToPeak, r.Interrupted,
		)
	}
	return series, t.Flush()
}

// fileName makes a file name from a workload's name.
func fileName(name string) string {
	name = strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_':
			return r
		}
		return '-'
	}, name)
}
