package conformance

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
)

func TestMain(m *testing.M) {
	// Rows mostly wait, for servers to start or to see that nothing comes, so more of them run at
	// once than there are processors.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// A row is a feature of the protocol or of a job server's behavior.
type row struct {
	group, name string
	options     options
	run         func(c *check)
	// not lists job servers that lack the feature: there the row must fail.
	not []string
}

// reportEnv names the file for the report.
const reportEnv = "CONFORMANCE_REPORT"

type outcome struct {
	state  state
	detail string
}

type state string

const (
	passed      state = "passed"
	unsupported state = "unsupported"
	failed      state = "failed"
)

func TestConformance(t *testing.T) {
	all, full := servers(), os.Getenv(reportEnv) != ""
	var mu sync.Mutex
	results := map[string]map[string]outcome{}
	var order []row
	for _, group := range [][]row{
		adminRows, submitRows, workerRows, sleepRows, resultRows, lossRows, queueRows, limitRows, libraryRows,
	} {
		order = append(order, group...)
	}
	checkNames(t, order)
	t.Run("rows", func(t *testing.T) {
		for _, s := range all {
			results[s.name] = map[string]outcome{}
			for _, r := range order {
				if s.name == namePerl && !full && !quick(r) {
					continue
				}
				t.Run(strings.ReplaceAll(s.name+"/"+r.group+"/"+r.name, " ", "_"), func(t *testing.T) {
					t.Parallel()
					o := outcome{failed, "the server did not start"}
					defer func() {
						mu.Lock()
						defer mu.Unlock()
						results[s.name][key(r)] = o
					}()
					o = judge(t, s, r)
					if o.state == failed {
						t.Error(o.detail)
					}
				})
			}
		}
	})
	if full {
		for _, s := range all {
			s.version = version(t, s)
		}
		if err := writeReport(os.Getenv(reportEnv), all, order, results); err != nil {
			t.Error(err)
		}
	}
}

// quick reports whether a row runs on Perl's server even without a report. Perl takes a fifth of a
// second to start, so these are only the features that it has and gearmand lacks, and the rows of
// the library.
func quick(r row) bool {
	return !slices.Contains(r.not, namePerl) && (slices.Contains(r.not, nameGearmand) || r.group == "library")
}

// version requests a job server's version.
func version(t *testing.T, s *server) string {
	t.Helper()
	a, err := admin.Dial(t.Context(), s.start(t, options{}).addr, admin.Options{})
	if err != nil {
		t.Error(err)
		return ""
	}
	defer a.Close()
	v, err := a.Version(t.Context())
	if err != nil {
		t.Error(err)
	}
	return v.Text
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

// judge runs a row on a job server of its own and returns the outcome.
func judge(t *testing.T, s *server, r row) outcome {
	t.Helper()
	lacks := slices.Contains(r.not, s.like)
	problem := attempt(t, s, r, lacks)
	switch {
	case problem == "" && lacks:
		return outcome{failed, "the server is listed without this feature, but has it: take it off the row's list"}
	case problem == "":
		return outcome{passed, ""}
	case lacks:
		return outcome{unsupported, problem}
	}
	return outcome{failed, problem}
}

// attempt returns what failed, or "".
func attempt(t *testing.T, s *server, r row, lacks bool) (problem string) {
	t.Helper()
	c := &check{target: s.start(t, r.options), waitLimit: waitLimit, ctx: t.Context()}
	if lacks {
		c.waitLimit = shortWaitLimit
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

// writeReport writes the table of job servers and features, and the line with the counts.
func writeReport(path string, all []*server, order []row, results map[string]map[string]outcome) error {
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
			case unsupported, failed:
				notes = append(notes, fmt.Sprintf("%s, %s: %s", s.name, key(r), o.detail))
				cell = fmt.Sprintf("no (%d)", len(notes))
				if o.state == failed {
					cell = fmt.Sprintf("**FAILED (%d)**", len(notes))
				}
			}
			fmt.Fprintf(&b, " %s |", cell)
			counts[field(s, o.state)]++
		}
		b.WriteString("\n")
	}
	b.WriteString("\nNot supported, with what was seen on the wire:\n\n")
	for i, n := range notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, strings.TrimSpace(n))
	}
	for _, s := range all { // every count is written, even a zero
		for _, st := range []state{passed, unsupported, failed} {
			counts[field(s, st)] += 0
		}
	}
	line, err := json.Marshal(counts)
	if err != nil {
		return err
	}
	fmt.Fprintf(&b, "\nRESULT %s\n", line)
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// field is the name of a count in the line RESULT.
func field(s *server, st state) string { return s.count + "_" + string(st) }
