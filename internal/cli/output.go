package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// Column is a column of a table, and how its text is made from a row.
type Column[T any] struct {
	Title string
	Wide  bool // only with -o wide
	Text  func(T) string
}

var formats = []string{"", "wide", "json", "yaml"}

// AddOutputFlag adds -o.
func AddOutputFlag(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVarP(format, "output", "o", "", "output format: wide, json or yaml")
	// The flag exists: it was defined in the line above.
	_ = cmd.RegisterFlagCompletionFunc(
		"output", cobra.FixedCompletions(formats[1:], cobra.ShellCompDirectiveNoFileComp),
	)
}

// CheckFormat checks the value of -o.
func CheckFormat(format string) error {
	if !slices.Contains(formats, format) {
		return fmt.Errorf("--output must be wide, json or yaml, not %q", format)
	}
	return nil
}

// WriteRows writes rows as a table, or with all fields as JSON or YAML.
func WriteRows[T any](out io.Writer, format string, columns []Column[T], rows []T) error {
	if rows == nil {
		rows = []T{}
	}
	switch format {
	case "json":
		data, err := json.MarshalIndent(rows, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "%s\n", data)
		return err
	case "yaml":
		data, err := yaml.Marshal(rows)
		if err != nil {
			return err
		}
		_, err = out.Write(data)
		return err
	}
	columns = slices.DeleteFunc(slices.Clone(columns), func(c Column[T]) bool { return c.Wide && format != "wide" })
	table := NewTable(out)
	line := make([]string, len(columns))
	for i, c := range columns {
		line[i] = c.Title
	}
	fmt.Fprintln(table, strings.Join(line, "\t"))
	for _, row := range rows {
		for i, c := range columns {
			line[i] = Printable(c.Text(row))
		}
		fmt.Fprintln(table, strings.Join(line, "\t"))
	}
	return table.Flush()
}

// NewTable aligns the cells of tab-separated lines, as kubectl does.
func NewTable(out io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(out, 6, 4, 3, ' ', 0) }

// Printable replaces what could move a terminal's cursor or break a table: names and client ids
// come from strangers.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
