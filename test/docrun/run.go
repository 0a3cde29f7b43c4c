package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

type options struct {
	file, result string
	// unmeasured headings have a time of their own. The commands of the heading before are also run
	// ahead of the first measured step.
	unmeasured []string
	before     string
	timeout    time.Duration
}

// mark begins the lines with which the shell reports its progress: a byte that no command prints.
const mark = "\x1e"

// run runs the page's commands and writes their output to out. Its last line is RESULT with the
// times as JSON, in seconds.
func run(ctx context.Context, out io.Writer, o options) error {
	page, err := os.ReadFile(o.file)
	if err != nil {
		return err
	}
	all, err := steps(string(page))
	if err != nil {
		return fmt.Errorf("%s: %w", o.file, err)
	}
	for _, heading := range append(slices.Clone(o.unmeasured), o.before) {
		if heading != "" && !slices.ContainsFunc(all, func(s step) bool { return s.heading == heading }) {
			return fmt.Errorf("%s has no commands under %q", o.file, heading)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	times, err := shell(ctx, out, o, all)
	if err != nil {
		return err
	}
	result := map[string]float64{o.result: 0}
	for i, s := range all {
		key := o.result
		if slices.Contains(o.unmeasured, s.heading) {
			key = slug(s.heading) + "_s"
		}
		result[key] += times[i].Seconds()
	}
	for key, seconds := range result {
		result[key] = math.Round(seconds*10) / 10
	}
	line, err := json.Marshal(result)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\nRESULT %s\n", line)
	return err
}

func slug(heading string) string { return strings.ReplaceAll(strings.ToLower(heading), " ", "_") }

// script is the shell's input: the commands, and a marked line before each step. The commands of
// the heading named by before also run in a shell of their own, ahead of the first measured step.
// Their time counts for the step before that one.
func script(o options, all []step) string {
	var b strings.Builder
	b.WriteString("set -euo pipefail\n")
	first := slices.IndexFunc(all, func(s step) bool { return !slices.Contains(o.unmeasured, s.heading) })
	for i, s := range all {
		if i == first {
			for _, s := range all {
				if o.before != "" && s.heading == o.before {
					fmt.Fprintf(&b, "(\nset +e\n%s) >/dev/null 2>&1 || true\n", s.commands)
				}
			}
		}
		fmt.Fprintf(&b, "printf '%s%d\\n'\n%s", `\x1e`, i, s.commands)
	}
	fmt.Fprintf(&b, "printf '%s%d\\n'\n", `\x1e`, len(all))
	return b.String()
}

// shell runs the steps and returns how long each took.
func shell(ctx context.Context, out io.Writer, o options, all []step) ([]time.Duration, error) {
	cmd := exec.CommandContext(ctx, "bash", "-c", script(o, all))
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	cmd.WaitDelay = 5 * time.Second // a child that stays behind with our pipe is not waited for
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	now, output, begin := -1, &bytes.Buffer{}, time.Now()
	times := make([]time.Duration, len(all))
	var problems []error
	lines := bufio.NewReader(pipe)
	for {
		line, err := lines.ReadString('\n')
		before, number, isMark := strings.Cut(line, mark)
		output.WriteString(before)
		fmt.Fprint(out, before)
		if isMark {
			if now >= 0 {
				times[now] = time.Since(begin)
				if missing := all[now].lacks(output.String()); missing != "" {
					problems = append(
						problems, fmt.Errorf("%s:%d: the output lacks %q", o.file, all[now].line, missing),
					)
				}
			}
			// script makes the shell print a number here.
			now, _ = strconv.Atoi(strings.TrimSpace(number))
			output.Reset()
			begin = time.Now()
			if now < len(all) {
				fmt.Fprintf(
					out, "\n--- %s:%d: %s\n%s\n", o.file, all[now].line, all[now].heading, indent(all[now].commands),
				)
			}
		}
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		where := o.file
		if now >= 0 && now < len(all) {
			where = fmt.Sprintf("%s:%d: %s", o.file, all[now].line, all[now].heading)
		}
		problems = append(problems, fmt.Errorf("%s: %w", where, errors.Join(err, context.Cause(ctx))))
	}
	return times, errors.Join(problems...)
}

func indent(commands string) string {
	var b strings.Builder
	for line := range strings.Lines(commands) {
		b.WriteString("  $ " + line)
	}
	return b.String()
}
