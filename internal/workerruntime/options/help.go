package options

import (
	"fmt"
	"io"
	"strings"
)

const overview = `gearman-worker turns any program into a Gearman worker.

%s
  gearman-worker run     --config FILE                  several functions with different handlers
  gearman-worker install DIR                            copy this program into DIR
  gearman-worker await-stoppable                        wait until process 1 can be told to stop: a preStop hook
  gearman-worker version

Add --help to a command for its options. A first try, with a job server on this machine:

  gearman-worker exec --function upper --log-format text -- tr a-z A-Z &
  gearman -f upper hello

SIGTERM stops taking jobs, finishes the running ones and exits with 0. A second SIGTERM stops at once: running jobs are requeued.

Exit codes: 0 stopped as asked, all jobs finished; 1 something failed, the log says what; 2 the options are wrong; 3 stopped as
asked, but running jobs were requeued unfinished or their outcomes could not be sent.
`

// Overview returns the help of the program.
func Overview() string {
	modes := make([]string, 0, len(modeTable))
	for i := range modeTable {
		m := &modeTable[i]
		modes = append(modes, fmt.Sprintf("  gearman-worker %-6s [options] -- %-18s %s", m.name, m.argument(), m.summary))
	}
	return fmt.Sprintf(overview, strings.Join(modes, "\n"))
}

// WriteHelp writes the help of one mode.
func WriteHelp(w io.Writer, mode Mode) {
	fmt.Fprintln(w, mode.help())
	fmt.Fprintln(
		w,
		"Each option can also be set as GEARMAN_WORKER_<NAME> in the environment (--job-timeout: GEARMAN_WORKER_JOB_TIMEOUT), or under its\nname in the file of --config. A flag wins over the environment, and the environment over the file.",
	)
	group := ""
	for i := range Table {
		opt := &Table[i]
		if !opt.flagOf(mode) {
			continue
		}
		if opt.Group != group {
			group = opt.Group
			fmt.Fprintf(w, "\n%s\n", group)
		}
		fmt.Fprintf(w, "  --%s\n", opt.usage())
		for _, line := range wrap(opt.Help+opt.defaultText(), 100) {
			fmt.Fprintf(w, "        %s\n", line)
		}
	}
}

func (o *Option) usage() string {
	switch {
	case o.Kind == Bool:
		return o.Name
	case len(o.Values) > 0:
		return o.Name + " " + strings.Join(o.Values, "|")
	}
	word := map[Kind]string{
		Text: "TEXT", Int: "N", Duration: "DURATION", Size: "SIZE", List: "A,B", Words: "NAME", Lines: "TEXT",
	}[o.Kind]
	if o.Kind == List || o.Kind == Words || o.Kind == Lines {
		word += " (repeatable)"
	}
	return o.Name + " " + word
}

func (o *Option) defaultText() string {
	if o.Default == "" || o.Kind == Bool {
		return ""
	}
	return " (" + o.Default + ")"
}

func wrap(s string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(s) {
		if len(line)+1+len(word) > width && line != "" {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// Markdown returns the table of options for docs/runtime.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| option | default | modes | meaning |\n|---|---|---|---|\n")
	for i := range Table {
		opt := &Table[i]
		modes := "all"
		if len(opt.Modes) > 0 {
			modes = ""
			for i, m := range opt.Modes {
				if i > 0 {
					modes += ", "
				}
				modes += string(m)
			}
		}
		def := opt.Default
		if def != "" {
			def = "`" + def + "`"
		}
		help := opt.Help
		if len(opt.Values) > 0 {
			help += " (`" + strings.Join(opt.Values, "`, `") + "`)"
		}
		fmt.Fprintf(&b, "| `--%s` | %s | %s | %s |\n", opt.Name, def, modes, help)
	}
	return b.String()
}
