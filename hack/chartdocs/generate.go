package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	tableBegin = "<!-- values: generated from values.yaml by make generate -->\n"
	tableEnd   = "<!-- end of values -->\n"
)

// value is one line of the table.
type value struct {
	path, kind, def, meaning string
}

// generate returns the schema and the README with the comments of values.yaml in them. Every value
// must have a comment and be known to the schema, and every value of the schema must stand in
// values.yaml.
func generate(values, schema, readme []byte) (newSchema, newReadme []byte, err error) {
	var valuesDoc, schemaDoc yaml.Node
	if err := yaml.Unmarshal(values, &valuesDoc); err != nil {
		return nil, nil, fmt.Errorf("values.yaml: %w", err)
	}
	// JSON is YAML; its nodes keep the order of the keys.
	if err := yaml.Unmarshal(schema, &schemaDoc); err != nil {
		return nil, nil, fmt.Errorf("values.schema.json: %w", err)
	}
	if len(valuesDoc.Content) == 0 || len(schemaDoc.Content) == 0 {
		return nil, nil, fmt.Errorf("values.yaml or values.schema.json is empty")
	}

	var table []value
	if err := walk("", valuesDoc.Content[0], schemaDoc.Content[0], &table); err != nil {
		return nil, nil, err
	}

	var compact, indented bytes.Buffer
	writeJSON(&compact, schemaDoc.Content[0])
	if err := json.Indent(&indented, compact.Bytes(), "", "  "); err != nil {
		return nil, nil, err
	}
	indented.WriteByte('\n')

	head, rest, begins := bytes.Cut(readme, []byte(tableBegin))
	_, tail, ends := bytes.Cut(rest, []byte(tableEnd))
	if !begins || !ends {
		return nil, nil, fmt.Errorf("README.md: the lines %q and %q must be there", tableBegin, tableEnd)
	}
	var out bytes.Buffer
	out.Write(head)
	out.WriteString(tableBegin)
	out.WriteString("| value | type | default | meaning |\n|---|---|---|---|\n")
	for _, v := range table {
		fmt.Fprintf(&out, "| `%s` | %s | `%s` | %s |\n", v.path, v.kind, v.def, v.meaning)
	}
	out.WriteString(tableEnd)
	out.Write(tail)
	return indented.Bytes(), out.Bytes(), nil
}

// walk visits the values under a mapping beside their schema, fills in the schema's descriptions,
// and appends the leaves.
func walk(prefix string, values, schema *yaml.Node, table *[]value) error {
	properties := get(schema, "properties")
	if properties == nil {
		return fmt.Errorf("values.schema.json: %s has no properties", prefix)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(values.Content); i += 2 {
		key, node := values.Content[i], values.Content[i+1]
		path := strings.TrimPrefix(prefix+"."+key.Value, ".")
		seen[key.Value] = true
		property := get(properties, key.Value)
		if property == nil {
			return fmt.Errorf("values.schema.json lacks %s, which values.yaml has", path)
		}
		comment := prose(key.HeadComment)
		if node.Kind == yaml.MappingNode && get(property, "properties") != nil {
			if err := walk(path, node, property, table); err != nil {
				return err
			}
			continue
		}
		if comment == "" {
			return fmt.Errorf("values.yaml: %s has no comment", path)
		}
		set(property, "description", comment)
		def, err := inline(node)
		if err != nil {
			return err
		}
		*table = append(
			*table,
			value{path: path, kind: kindOf(property), def: def, meaning: strings.ReplaceAll(comment, "|", "\\|")},
		)
	}
	for i := 0; i+1 < len(properties.Content); i += 2 {
		if key := properties.Content[i].Value; !seen[key] && key != "global" { // Helm adds global by itself
			return fmt.Errorf(
				"values.yaml lacks %s, which values.schema.json has", strings.TrimPrefix(prefix+"."+key, "."),
			)
		}
	}
	return nil
}

// prose is a comment as one line. Only its last paragraph belongs to the value.
func prose(comment string) string {
	paragraphs := strings.Split(comment, "\n\n")
	lines := strings.Split(paragraphs[len(paragraphs)-1], "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(strings.TrimPrefix(line, "#"))
	}
	return strings.TrimSpace(strings.Join(lines, " "))
}

// inline is a value as one line of JSON.
func inline(node *yaml.Node) (string, error) {
	var v any
	if err := node.Decode(&v); err != nil {
		return "", err
	}
	data, err := json.Marshal(v)
	return string(data), err
}

func kindOf(schema *yaml.Node) string {
	if kind := get(schema, "type"); kind != nil {
		return kind.Value
	}
	if options := get(schema, "enum"); options != nil {
		names := make([]string, len(options.Content))
		for i, option := range options.Content {
			names[i] = fmt.Sprintf("%q", option.Value)
		}
		return strings.Join(names, ", ")
	}
	if options := get(schema, "oneOf"); options != nil {
		names := make([]string, len(options.Content))
		for i, option := range options.Content {
			names[i] = kindOf(option)
		}
		return strings.Join(names, " or ")
	}
	return "any"
}

func get(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func set(mapping *yaml.Node, key, text string) {
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			mapping.Content[i+1] = node
			return
		}
	}
	mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, node)
}

// writeJSON writes a node of a JSON document with its keys in their order.
func writeJSON(out *bytes.Buffer, node *yaml.Node) {
	switch node.Kind {
	case yaml.MappingNode:
		out.WriteByte('{')
		for i := 0; i+1 < len(node.Content); i += 2 {
			if i > 0 {
				out.WriteByte(',')
			}
			writeJSON(out, node.Content[i])
			out.WriteByte(':')
			writeJSON(out, node.Content[i+1])
		}
		out.WriteByte('}')
	case yaml.SequenceNode:
		out.WriteByte('[')
		for i, child := range node.Content {
			if i > 0 {
				out.WriteByte(',')
			}
			writeJSON(out, child)
		}
		out.WriteByte(']')
	default:
		if node.Tag != "!!str" {
			out.WriteString(node.Value)
			return
		}
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		// A string always encodes; Encode ends it with a newline, which Indent drops.
		_ = encoder.Encode(node.Value)
	}
}
