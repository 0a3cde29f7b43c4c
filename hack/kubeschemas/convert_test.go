package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func decode(t *testing.T, data []byte) object {
	t.Helper()
	var schema object
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestFromSwagger(t *testing.T) {
	t.Parallel()
	schemas, err := fromSwagger([]byte(`{"definitions": {
		"io.k8s.Thing": {
			"properties": {"port": {"$ref": "#/definitions/io.k8s.IntOrString"}, "self": {"$ref": "#/definitions/io.k8s.Thing"}},
			"x-kubernetes-group-version-kind": [{"group": "Things.io", "version": "v1", "kind": "Thing"}]
		},
		"io.k8s.IntOrString": {"type": "string", "format": "int-or-string"},
		"io.k8s.Other": {"type": "object"},
		"io.k8s.DeleteOptions": {"x-kubernetes-group-version-kind": [{"kind": "DeleteOptions"}, {"kind": "DeleteOptions"}]}
	}}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(schemas) != 1 {
		t.Fatalf("got %d schemas, want that of Thing alone", len(schemas))
	}
	want := object{
		"$ref": "#/definitions/io.k8s.Thing",
		"definitions": object{
			"io.k8s.Thing": object{
				"additionalProperties": false,
				"properties": object{
					"port": object{"$ref": "#/definitions/io.k8s.IntOrString"},
					"self": object{"$ref": "#/definitions/io.k8s.Thing"},
				},
				"x-kubernetes-group-version-kind": []any{
					object{"group": "Things.io", "version": "v1", "kind": "Thing"},
				},
			},
			"io.k8s.IntOrString": object{"type": []any{"integer", "string"}},
		},
	}
	if diff := cmp.Diff(want, decode(t, schemas["thing-things.io-v1.json"])); diff != "" {
		t.Errorf("schema of Thing (-want +got):\n%s", diff)
	}
}

func TestFromCRDs(t *testing.T) {
	t.Parallel()
	schemas, err := fromCRDs([]byte(`
kind: CustomResourceDefinition
spec:
  group: things.io
  names: {kind: Thing}
  versions:
    - name: v1
      schema:
        openAPIV3Schema:
          type: object
          properties:
            metadata: {type: object}
            port: {anyOf: [{type: integer}, {type: string}], x-kubernetes-int-or-string: true}
            free: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {a: {type: string}}}
            list: {type: array, nullable: true, items: {type: object, properties: {b: {type: string}}}}
---
kind: ConfigMap
`))
	if err != nil {
		t.Fatal(err)
	}
	want := object{
		"type":                 "object",
		"additionalProperties": false,
		"properties": object{
			"metadata": object{"type": "object"},
			"port":     object{"type": []any{"integer", "string"}, "x-kubernetes-int-or-string": true},
			"free": object{
				"type": "object", "x-kubernetes-preserve-unknown-fields": true,
				"properties": object{"a": object{"type": "string"}},
			},
			"list": object{
				"type": []any{"array", "null"}, "nullable": true,
				"items": object{
					"type": "object", "additionalProperties": false,
					"properties": object{"b": object{"type": "string"}},
				},
			},
		},
	}
	if diff := cmp.Diff(want, decode(t, schemas["thing-things.io-v1.json"])); diff != "" {
		t.Errorf("schema of Thing (-want +got):\n%s", diff)
	}
}

func TestRunErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := map[string]struct {
		out     string
		sources []string
	}{
		"no output":         {sources: []string{"a.json"}},
		"no source":         {out: dir},
		"missing source":    {out: dir, sources: []string{filepath.Join(dir, "gone.yaml")}},
		"broken JSON":       {out: dir, sources: []string{write("broken.json", "{")}},
		"broken YAML":       {out: dir, sources: []string{write("broken.yaml", "a: [")}},
		"no kind in it":     {out: dir, sources: []string{write("configmap.yaml", "kind: ConfigMap")}},
		"output not usable": {out: write("file", ""), sources: []string{"a.json"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := run(tt.out, tt.sources); err == nil {
				t.Error("no error")
			}
		})
	}
}
