// Command chartdocs keeps the chart's documentation in one place: the comments of values.yaml. It
// writes them into the table of the chart's README.md and into the descriptions of
// values.schema.json, which editors show.
//
//	chartdocs CHART_DIRECTORY
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: chartdocs CHART_DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "chartdocs:", err)
		os.Exit(1)
	}
}

func run(chart string) error {
	values, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return err
	}
	schema, err := os.ReadFile(filepath.Join(chart, "values.schema.json"))
	if err != nil {
		return err
	}
	readme, err := os.ReadFile(filepath.Join(chart, "README.md"))
	if err != nil {
		return err
	}
	newSchema, newReadme, err := generate(values, schema, readme)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(chart, "values.schema.json"), newSchema, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(chart, "README.md"), newReadme, 0o644)
}
