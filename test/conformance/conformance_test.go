package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A row is a feature of the protocol or of a server's behaviour.
type row struct {
	group, name string
	options     options
	run         func(c *check)
	// not lists servers that lack the feature: there the row must fail.
	not []string
}

// needAll makes servers that are not installed a failure; reports is where the report goes.
const (
	needAll = "CONFORMANCE_NEED_ALL"
	reports = "REPORTS"
)

type outcome struct {
	state  string // passed, unsupported, failed
	detail string
}

func TestConformance(t *testing.T) {
	all := servers()
	var mu sync.Mutex
	results := map[string]map[string]outcome{}
	var order []row
	for _, group := range [][]row{adminRows, submitRows, workerRows, sleepRows, resultRows, lossRows, queueRows, limitRows, libraryRows} {
		order = append(order, group...)
	}
	checkNames(t, order)
	t.Run("rows", func(t *testing.T) {
		for _, s := range all {
			if s.missing != "" {
				if os.Getenv(needAll) != "" {
					t.Errorf("%s: %s", s.name, s.missing)
				}
				t.Logf("left out: %s: %s", s.name, s.missing)
				continue
			}
			results[s.name] = map[string]outcome{}
			for _, r := range order {
				t.Run(strings.ReplaceAll(s.name+"/"+r.group+"/"+r.name, " ", "_"), func(t *testing.T) {
					t.Parallel()
					o := judge(t.Context(), s, r)
					mu.Lock()
					results[s.name][key(r)] = o
					mu.Unlock()
					if o.state == "failed" {
						t.Error(o.detail)
					}
				})
			}
		}
	})
	if dir := os.Getenv(reports); dir != "" && os.Getenv(needAll) != "" {
		for _, s := range all {
			if tg, err := s.start(options{}); err == nil {
				s.version, _ = askVersion(tg.addr)
				tg.stop()
			}
		}
		if err := writeReport(dir, all, order, results); err != nil {
			t.Error(err)
		}
	}
}

func key(r row) string { return r.group + ": " + r.name }

func checkNames(t *testing.T, rows []row) {
	t.Helper()
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[key(r)] {
			t.Errorf("two rows are named %q", key(r))
		}
		seen[key(r)] = true
	}
}

// judge runs a row on a server of its own and says how it went.
func judge(ctx context.Context, s *server, r row) outcome {
	lacks := slices.Contains(r.not, s.name)
	problem := attempt(ctx, s, r, lacks)
	switch {
	case problem == "" && lacks:
		return outcome{"failed", "the server is listed without this feature, but has it: take it off the row's list"}
	case problem == "":
		return outcome{"passed", ""}
	case lacks:
		return outcome{"unsupported", problem}
	}
	return outcome{"failed", problem}
}

// attempt returns what went wrong, or nothing.
func attempt(ctx context.Context, s *server, r row, lacks bool) (problem string) {
	tg, err := s.start(r.options)
	if err != nil {
		return err.Error()
	}
	defer tg.stop()
	c := &check{target: tg, patience: patience, ctx: ctx}
	if lacks {
		c.patience = shortPatience
	}
	defer c.end()
	defer func() {
		switch p := recover().(type) {
		case nil:
		case failure:
			problem = string(p)
		default:
			problem = fmt.Sprintf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	r.run(c)
	return ""
}

// writeReport writes the table of servers and features, and the line with the counts.
func writeReport(dir string, all []*server, order []row, results map[string]map[string]outcome) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Job servers and features\n\nMade by `make test-conformance` on %s. A dot is a feature that the server has;\n",
		time.Now().UTC().Format(time.DateOnly))
	b.WriteString("a number points to what came over the wire instead.\n\n| feature |")
	for _, s := range all {
		fmt.Fprintf(&b, " %s %s |", s.name, s.version)
	}
	b.WriteString("\n|---|" + strings.Repeat(":-:|", len(all)) + "\n")
	counts := map[string]int{"rows": len(order)}
	var notes []string
	for _, r := range order {
		fmt.Fprintf(&b, "| %s |", strings.ReplaceAll(key(r), "|", `\|`))
		for _, s := range all {
			o := results[s.name][key(r)]
			cell := "."
			switch o.state {
			case "":
				o.state, cell = "failed", "**not run**"
			case "unsupported", "failed":
				notes = append(notes, fmt.Sprintf("%s, %s: %s", s.name, key(r), o.detail))
				cell = fmt.Sprintf("no (%d)", len(notes))
				if o.state == "failed" {
					cell = fmt.Sprintf("**FAILED (%d)**", len(notes))
				}
			}
			fmt.Fprintf(&b, " %s |", cell)
			counts[strings.ToLower(strings.ReplaceAll(s.name, "::", "_"))+"_"+o.state]++
		}
		b.WriteString("\n")
	}
	b.WriteString("\nNot supported, with what was seen on the wire:\n\n")
	for i, n := range notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, strings.TrimSpace(n))
	}
	for _, s := range all { // every count is there, also a zero
		for _, state := range []string{"passed", "unsupported", "failed"} {
			k := strings.ToLower(strings.ReplaceAll(s.name, "::", "_")) + "_" + state
			counts[k] += 0
		}
	}
	line, err := json.Marshal(counts)
	if err != nil {
		return err
	}
	fmt.Fprintf(&b, "\nRESULT %s\n", line)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "conformance.md"), []byte(b.String()), 0o644)
}
