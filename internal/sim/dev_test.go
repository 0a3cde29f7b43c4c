package sim

import (
	"os"
	"strconv"
	"testing"
)

// TestDev prints the matrix on the seeds that the law was developed with. It runs by hand: DEV=seeds go test -run Dev -v.
func TestDev(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("DEV"))
	if n == 0 {
		t.Skip("DEV is not set")
	}
	m := Matrix{Settings: Settings(), Rivals: os.Getenv("RIVALS") != "", Variants: os.Getenv("VARIANTS") != "", Workers: 2}
	if os.Getenv("COUNTS") != "" {
		m.Settings = m.Settings[:3]
	}
	if os.Getenv("HARD") != "" {
		m.Settings = m.Settings[3:]
	}
	for _, k := range Makers() {
		if !k.Held {
			m.Makers = append(m.Makers, k)
		}
	}
	for i := range n {
		m.Seeds = append(m.Seeds, uint64(i+1))
	}
	cells := m.Run()
	for _, c := range cells {
		name, tuned := c.Tuned()
		for i, l := range c.Laws {
			r := c.Results[i]
			mark := ""
			if l == name {
				mark = "*"
			}
			ratio := 0.
			if tuned != nil {
				ratio = r.WorkerHours / tuned.WorkerHours
			}
			t.Logf("%-55s %-24s miss %6.2f p99 %7.1f hours %8.2f (%.2f) act %5d rev %4d int %d drained %4d partial %d peak %d ttp %.0f %s", c.Name(), l, r.MissPercent(0), r.Quantile(.99), r.WorkerHours, ratio, r.Actions, r.Reversals, r.Interrupted, r.Drained, r.PartialDowns, r.Peak, r.TimeToPeak, mark)
		}
	}
	t.Logf("%+v", Summarize(cells))
}
