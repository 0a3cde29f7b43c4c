package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const readmeFrame = "# Chart\n" + tableBegin + "old\n" + tableEnd + "after\n"

func TestGenerate(t *testing.T) {
	t.Parallel()
	values := `
# A heading, which belongs to nothing.

# How many
# run | stand by.
replicas: 1
image:
  # Name <of> the image.
  name: "a"
# Where from.
policy: Always
# At once.
away: 1
`
	schema := `{"properties": {
	  "replicas": {"type": "integer", "minimum": 0, "description": "old"},
	  "image": {"properties": {"name": {"type": "string"}}},
	  "policy": {"enum": ["Always", ""]},
	  "away": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
	  "global": {"type": "object"}}}`
	gotSchema, gotReadme, err := generate([]byte(values), []byte(schema), []byte(readmeFrame))
	if err != nil {
		t.Fatal(err)
	}
	wantReadme := "# Chart\n" + tableBegin + "| value | type | default | meaning |\n|---|---|---|---|\n" +
		"| `replicas` | integer | `1` | How many run \\| stand by. |\n" +
		"| `image.name` | string | `\"a\"` | Name <of> the image. |\n" +
		"| `policy` | \"Always\", \"\" | `\"Always\"` | Where from. |\n" +
		"| `away` | integer or string | `1` | At once. |\n" +
		tableEnd + "after\n"
	if diff := cmp.Diff(wantReadme, string(gotReadme)); diff != "" {
		t.Errorf("README (-want +got):\n%s", diff)
	}
	for _, want := range []string{`"minimum": 0,`, `"description": "How many run | stand by."`, `"description": "Name <of> the image."`} {
		if !strings.Contains(string(gotSchema), want) {
			t.Errorf("the schema lacks %s:\n%s", want, gotSchema)
		}
	}
	if strings.Contains(string(gotSchema), `"old"`) {
		t.Error("the old description is still there")
	}
}

func TestGenerateErrors(t *testing.T) {
	t.Parallel()
	const schema = `{"properties": {"a": {"type": "string"}}}`
	tests := map[string]struct{ values, schema, readme, want string }{
		"value without comment":       {"a: x", schema, readmeFrame, "a has no comment"},
		"value unknown to the schema": {"# A.\na: x\n# B.\nb: y", schema, readmeFrame, "lacks b"},
		"schema ahead of the values":  {"# A.\na: x", `{"properties": {"a": {}, "b": {}}}`, readmeFrame, "values.yaml lacks b"},
		"schema without properties":   {"# A.\na: x", `{"type": "object"}`, readmeFrame, "no properties"},
		"no place in the README":      {"# A.\na: x", schema, "# Chart\n", "must be there"},
		"broken values":               {"a: [", schema, readmeFrame, "values.yaml"},
		"broken schema":               {"a: x", "{", readmeFrame, "values.schema.json"},
		"empty values":                {"", schema, readmeFrame, "empty"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := generate([]byte(tt.values), []byte(tt.schema), []byte(tt.readme))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

// The generator only ever changes what it generates: running it on its own output gives the same.
func TestRunIsIdempotent(t *testing.T) {
	t.Parallel()
	chart := t.TempDir()
	for name, text := range map[string]string{
		"values.yaml":        "# A.\na: x\n",
		"values.schema.json": `{"properties": {"a": {"type": "string"}}}`,
		"README.md":          readmeFrame,
	} {
		if err := run(chart); err == nil {
			t.Fatalf("no error without %s", name)
		}
		if err := os.WriteFile(filepath.Join(chart, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var first string
	for range 2 {
		if err := run(chart); err != nil {
			t.Fatal(err)
		}
		var all []byte
		for _, name := range []string{"values.schema.json", "README.md"} {
			data, err := os.ReadFile(filepath.Join(chart, name))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, data...)
		}
		if first == "" {
			first = string(all)
		}
		if diff := cmp.Diff(first, string(all)); diff != "" {
			t.Errorf("second run differs:\n%s", diff)
		}
	}
}
