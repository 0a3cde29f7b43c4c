package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRender(t *testing.T) {
	t.Parallel()
	got, err := render([]byte(`
spec:
  group: things.io
  names: {kind: Thing, plural: things, singular: thing, shortNames: [th]}
  versions:
    - name: v1
      schema:
        openAPIV3Schema:
          description: "A thing\nof <use>."
          x-kubernetes-validations: [{rule: "w", message: a thing has a short name}]
          properties:
            spec:
              description: What it does.
              required: [size]
              x-kubernetes-validations: [{rule: "x", message: "size goes with color"}]
              properties:
                color: {type: string, enum: [red, blue], description: Its color.}
                env: {type: array, items: {type: object, properties: {hidden: {type: string}}}}
                parts:
                  type: array
                  maxItems: 3
                  items:
                    type: object
                    properties:
                      name: {type: string, x-kubernetes-validations: [{rule: "y", message: a name is short}, {rule: "z", message: a name is short}]}
                size: {type: integer, minimum: 1, maximum: 9, default: 2, description: Its size | weight.}
            status:
              description: How it is.
              properties:
                since: {type: string, format: date-time}
                terms: {type: object, additionalProperties: {type: integer}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := `<!-- generated from things.io_things.yaml by make generate -->
# Thing (things.io/v1)

A thing of &lt;use>.

Short name ` + "`th`. `kubectl explain thing.spec`" + ` shows the same.

The API server refuses pools that break one of these rules:

- a thing has a short name

## spec

What it does.

| field | type | meaning |
|---|---|---|
| ` + "`size`" + ` | integer | Its size \| weight. (1 to 9; default 2) **Required.** |
| ` + "`color` | `red`, `blue`" + ` | Its color. |
| ` + "`env`" + ` | list of EnvVar |  |
| ` + "`parts`" + ` | list of object | (at most 3) |
| ` + "`parts[].name`" + ` | string |  |

The API server refuses pools that break one of these rules:

- size goes with color
- a name is short

## status

How it is.

| field | type | meaning |
|---|---|---|
| ` + "`since`" + ` | time |  |
| ` + "`terms`" + ` | map of integer |  |
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

func TestRenderErrors(t *testing.T) {
	t.Parallel()
	for name, crd := range map[string]string{
		"no YAML": "a: [", "no version": "spec: {}", "no schema": "spec: {versions: [{name: v1}]}",
	} {
		if _, err := render([]byte(crd)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
