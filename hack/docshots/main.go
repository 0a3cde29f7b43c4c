// Command docshots puts what a command printed into a Markdown page, between <!-- shot NAME --> and
// <!-- /shot -->: docs show what a real run looked like, and nobody copies it by hand.
//
//	docshots PAGE NAME COMMAND <OUTPUT
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: docshots PAGE NAME COMMAND <OUTPUT")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "docshots:", err)
		os.Exit(1)
	}
}

func run(page, name, command string, in io.Reader) error {
	output, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	changed, err := replace(string(text), name, command, string(output))
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return os.WriteFile(page, []byte(changed), 0o644)
}

// replace returns the page with another text in the shot of that name.
func replace(page, name, command, output string) (string, error) {
	begin := "<!-- shot " + name + " -->\n"
	const end = "<!-- /shot -->"
	before, rest, found := strings.Cut(page, begin)
	if !found {
		return "", fmt.Errorf("there is no line %q", strings.TrimSpace(begin))
	}
	_, after, found := strings.Cut(rest, end)
	if !found {
		return "", fmt.Errorf("the shot %s has no end %q", name, end)
	}
	if strings.TrimSpace(output) == "" {
		return "", fmt.Errorf("shot %s: %s printed nothing", name, command)
	}
	var b strings.Builder
	b.WriteString(before + begin + "```console\n$ " + command + "\n")
	for line := range strings.Lines(strings.Trim(output, "\n")) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	b.WriteString("```\n" + end + after)
	return b.String(), nil
}
