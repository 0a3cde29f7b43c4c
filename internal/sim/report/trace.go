package report

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gearman-operator/gearman-operator/internal/sim"
)

// A trace is bounded, so that a wrong file doesn't use up the machine's memory.
const (
	maxTraceJobs      = 5_000_000
	maxTraceFunctions = 64
	maxTraceSeconds   = 30 * 86400
)

// ReadTrace reads a workload from CSV: time_s,function,job_seconds[,count], with or without a
// header line. Times may start at any value.
func ReadTrace(name string, r io.Reader) (*sim.Workload, error) {
	w := &sim.Workload{Name: name, Servers: 1, Concurrency: 1}
	c := csv.NewReader(r)
	c.FieldsPerRecord, c.ReuseRecord, c.TrimLeadingSpace, c.Comment = -1, true, true, '#'
	for first := true; ; first = false {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		line, _ := c.FieldPos(0)
		if first && strings.EqualFold(row[0], "time_s") {
			continue
		}
		if err := addRow(w, row); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", name, line, err)
		}
	}
	if len(w.Jobs) == 0 {
		return nil, fmt.Errorf("%s has no jobs", name)
	}
	slices.SortStableFunc(w.Jobs, func(a, b sim.Job) int { return cmp.Compare(a.At, b.At) })
	begin := w.Jobs[0].At
	sum := 0.
	for i := range w.Jobs {
		w.Jobs[i].At -= begin
		sum += float64(w.Jobs[i].Seconds)
	}
	w.Horizon = w.Jobs[len(w.Jobs)-1].At + 300
	w.MeanSeconds = sum / float64(len(w.Jobs))
	if w.Horizon > maxTraceSeconds {
		return nil, fmt.Errorf("%s spans more than 30 days: cut it", name)
	}
	return w, nil
}

func addRow(w *sim.Workload, row []string) error {
	if len(row) < 3 || len(row) > 4 {
		return fmt.Errorf("want time_s,function,job_seconds[,count], got %d fields", len(row))
	}
	at, err := number(row[0], "time_s", -math.MaxFloat64, math.MaxFloat64)
	if err != nil {
		return err
	}
	seconds, err := number(row[2], "job_seconds", 0, 1e6)
	if err != nil {
		return err
	}
	count := 1.
	if len(row) == 4 {
		if count, err = number(row[3], "count", 0, maxTraceJobs); err != nil {
			return err
		}
	}
	f := slices.Index(w.Functions, row[1])
	if f < 0 {
		if len(w.Functions) == maxTraceFunctions {
			return fmt.Errorf("more than %d functions", maxTraceFunctions)
		}
		f = len(w.Functions)
		w.Functions = append(w.Functions, row[1])
	}
	if len(w.Jobs)+int(count) > maxTraceJobs {
		return fmt.Errorf("more than %d jobs: cut the trace", maxTraceJobs)
	}
	for range int(count) {
		w.Jobs = append(w.Jobs, sim.Job{At: at, Seconds: float32(max(seconds, 0.001)), Function: uint8(f)})
	}
	return nil
}

func number(field, name string, least, most float64) (float64, error) {
	x, err := strconv.ParseFloat(strings.TrimSpace(field), 64)
	if err != nil || !(x >= least && x <= most) {
		return 0, fmt.Errorf("%s is %q, want a number from %g to %g", name, field, least, most)
	}
	return x, nil
}
