package kubectlgearman

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// run runs the plugin as a user would and returns what it wrote.
func run(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := NewCommand(genericiooptions.IOStreams{In: strings.NewReader(stdin), Out: &out, ErrOut: &errs})
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func TestWrongArguments(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want string
	}{
		"no server":         {[]string{"status"}, "requires at least 1 arg"},
		"a kind":            {[]string{"status", "deploy/x"}, `"deploy/x" is not a job server`},
		"submit to nowhere": {[]string{"submit", "f"}, `required flag(s) "to"`},
		"a sort order": {
			[]string{"top", "--sort", "colour"}, "--sort must be one of name, problem, queued, replicas, running, wait",
		},
		"a short interval":  {[]string{"top", "--interval", "1ms"}, "--interval must be at least"},
		"negative replicas": {[]string{"scale", "p", "--replicas", "-1"}, "must not be negative"},
		"no replicas":       {[]string{"scale", "p"}, `required flag(s) "replicas"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := run(t, "", tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestFlagsDontClash: a command's own flags leave kubectl's alone, such as -n for the namespace.
func TestFlagsDontClash(t *testing.T) {
	t.Parallel()
	commands := 0
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		commands++
		if err := c.ParseFlags([]string{"-n", "jobs"}); err != nil { // merges the flags, and panics where two clash
			t.Errorf("%s: %v", c.CommandPath(), err)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(NewCommand(genericiooptions.IOStreams{}))
	if commands < 15 {
		t.Errorf("only %d commands found", commands)
	}
}
