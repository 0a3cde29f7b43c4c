package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// object is any JSON object.
type object = map[string]any

const definitionPrefix = "#/definitions/"

// fileName is what kubeconform is told to look for:
// {{.ResourceKind}}-{{.Group}}-{{.ResourceAPIVersion}}.json, in lower case. kubeconform takes the
// core group's version for its group.
func fileName(group, version, kind string) string {
	if group == "" {
		group = version
	}
	return strings.ToLower(fmt.Sprintf("%s-%s-%s.json", kind, group, version))
}

// fromSwagger makes one self-contained schema of each kind in a Kubernetes OpenAPI v2 description.
func fromSwagger(data []byte) (map[string][]byte, error) {
	var swagger struct {
		Definitions map[string]object `json:"definitions"`
	}
	if err := json.Unmarshal(data, &swagger); err != nil {
		return nil, err
	}
	for name, definition := range swagger.Definitions {
		switch {
		case strings.HasSuffix(name, ".IntOrString"):
			swagger.Definitions[name] = object{"type": []string{"integer", "string"}}
		case strings.HasSuffix(name, ".api.resource.Quantity"):
			swagger.Definitions[name] = object{"type": []string{"number", "string"}}
		default:
			tighten(definition)
		}
	}

	schemas := map[string][]byte{}
	for name, definition := range swagger.Definitions {
		kinds, _ := definition["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 { // DeleteOptions and the like belong to every group
			continue
		}
		gvk, _ := kinds[0].(object)
		group, _ := gvk["group"].(string)
		version, _ := gvk["version"].(string)
		kind, _ := gvk["kind"].(string)

		needed := object{}
		collect(swagger.Definitions, name, needed)
		schema, err := json.Marshal(object{"$ref": definitionPrefix + name, "definitions": needed})
		if err != nil {
			return nil, err
		}
		schemas[fileName(group, version, kind)] = schema
	}
	return schemas, nil
}

// collect adds a definition and all that it refers to.
func collect(all map[string]object, name string, into object) {
	if _, done := into[name]; done {
		return
	}
	into[name] = all[name]
	var walk func(any)
	walk = func(node any) {
		switch node := node.(type) {
		case object:
			if ref, ok := node["$ref"].(string); ok {
				collect(all, strings.TrimPrefix(ref, definitionPrefix), into)
			}
			for _, child := range node {
				walk(child)
			}
		case []any:
			for _, child := range node {
				walk(child)
			}
		}
	}
	walk(all[name])
}

// fromCRDs makes one schema of each version in a stream of CustomResourceDefinitions.
func fromCRDs(data []byte) (map[string][]byte, error) {
	schemas := map[string][]byte{}
	for document := range bytes.SplitSeq(data, []byte("\n---\n")) {
		var crd struct {
			Kind string `json:"kind"`
			Spec struct {
				Group string `json:"group"`
				Names struct {
					Kind string `json:"kind"`
				} `json:"names"`
				Versions []struct {
					Name   string `json:"name"`
					Schema struct {
						OpenAPIV3Schema object `json:"openAPIV3Schema"`
					} `json:"schema"`
				} `json:"versions"`
			} `json:"spec"`
		}
		if err := yaml.Unmarshal(document, &crd); err != nil {
			return nil, err
		}
		if crd.Kind != "CustomResourceDefinition" {
			continue
		}
		for _, version := range crd.Spec.Versions {
			root := version.Schema.OpenAPIV3Schema
			tighten(root)
			schema, err := json.Marshal(root)
			if err != nil {
				return nil, err
			}
			schemas[fileName(crd.Spec.Group, version.Name, crd.Spec.Names.Kind)] = schema
		}
	}
	return schemas, nil
}

// tighten refuses unknown fields wherever a schema lists the known ones, and turns Kubernetes' own
// schema extensions into plain JSON schema.
func tighten(schema object) {
	if preserve, _ := schema["x-kubernetes-preserve-unknown-fields"].(bool); !preserve {
		if schema["properties"] != nil && schema["additionalProperties"] == nil {
			schema["additionalProperties"] = false
		}
	}
	if intOrString, _ := schema["x-kubernetes-int-or-string"].(bool); intOrString {
		delete(schema, "anyOf")
		delete(schema, "format")
		schema["type"] = []string{"integer", "string"}
	}
	if nullable, _ := schema["nullable"].(bool); nullable {
		if kind, ok := schema["type"].(string); ok {
			schema["type"] = []string{kind, "null"}
		}
	}
	if properties, ok := schema["properties"].(object); ok {
		for _, child := range properties {
			tightenChild(child)
		}
	}
	tightenChild(schema["items"])
	tightenChild(schema["additionalProperties"])
}

func tightenChild(node any) {
	if schema, ok := node.(object); ok {
		tighten(schema)
	}
}
