package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// outcome counts what happened to the jobs.
type outcome struct {
	Jobs, Completed, DeadLettered, PoisonBuried, Lost   int
	FailedToClients, FailedWithoutTrying                int
	Duplicates, DuplicatesBeforeKills                   int
	BlackHoleMax                                        int
	WorkersKilled, ConnectionsCut, ServerKills, Outages int
	Seconds                                             int
}

func (r *outcome) fields() map[string]any {
	return map[string]any{
		"jobs": r.Jobs, "completed": r.Completed, "dead_lettered": r.DeadLettered,
		"poison_dead_lettered": r.PoisonBuried, "lost": r.Lost,
		"failed_to_clients": r.FailedToClients, "failed_without_trying": r.FailedWithoutTrying,
		"duplicates":              r.Duplicates,
		"duplicates_without_kill": r.DuplicatesBeforeKills, "black_hole_jobs_max": r.BlackHoleMax,
		"workers_killed":  r.WorkersKilled,
		"connections_cut": r.ConnectionsCut, "server_kills": r.ServerKills, "outages": r.Outages, "seconds": r.Seconds,
	}
}

// good reports whether the targets are met.
func (r *outcome) good(o *options) bool {
	return r.Lost == 0 && r.FailedWithoutTrying == 0 && r.DuplicatesBeforeKills == 0 && r.PoisonBuried == o.poison &&
		r.BlackHoleMax <= concurrency+2
}

// book is what the jobs themselves recorded: a line at each start, one at each completion.
type book struct {
	starts, completions map[string]int
}

// readBook reads the lines of all workers.
func readBook(dir string) (*book, error) {
	b := &book{starts: map[string]int{}, completions: map[string]int{}}
	files, err := filepath.Glob(filepath.Join(dir, "book-*"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			mark, id, ok := strings.Cut(lines.Text(), " ")
			switch {
			case ok && mark == "S":
				b.starts[id]++
			case ok && mark == "C":
				b.completions[id]++
			default:
				f.Close()
				return nil, fmt.Errorf("%s: line %q", name, lines.Text())
			}
		}
		f.Close()
		if err := lines.Err(); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *book) duplicates() (n int) {
	for _, times := range b.completions {
		if times > 1 {
			n += times - 1
		}
	}
	return n
}
