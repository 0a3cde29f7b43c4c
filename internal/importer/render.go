package importer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// YAML returns the pools as YAML documents with their comments, in the order of the file.
func (r *Result) YAML() ([]byte, error) {
	var out bytes.Buffer
	for _, note := range r.notes {
		comment(&out, "NOT CARRIED OVER: "+note)
	}
	for i, p := range r.pools {
		if i > 0 {
			out.WriteString("---\n")
		} else if len(r.notes) > 0 {
			out.WriteString("\n")
		}
		if err := p.write(&out); err != nil {
			return nil, fmt.Errorf("%s: %w", p.from, err)
		}
	}
	return out.Bytes(), nil
}

func (p *pool) write(out *bytes.Buffer) error {
	comment(out, "From "+p.from+".")
	for _, line := range p.about {
		comment(out, line)
	}
	for _, line := range p.lost {
		comment(out, "NOT CARRIED OVER: "+line)
	}
	spec, err := p.specNode()
	if err != nil {
		return err
	}
	document := &yaml.Node{Kind: yaml.MappingNode}
	add(document, "apiVersion", text("gearman.dev/v1alpha1"))
	add(document, "kind", text("GearmanWorkerPool"))
	metadata := &yaml.Node{Kind: yaml.MappingNode}
	add(metadata, "name", text(p.name))
	add(document, "metadata", metadata)
	add(document, "spec", spec)
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(2)
	if err := encoder.Encode(document); err != nil {
		return err
	}
	return encoder.Close()
}

// specNode is the spec in the order of the API's fields, with the comments on its fields.
func (p *pool) specNode() (*yaml.Node, error) {
	spec := p.spec
	if len(p.template.Spec.Containers) > 0 || p.template.Spec.SecurityContext != nil {
		raw, err := templateJSON(p.template)
		if err != nil {
			return nil, err
		}
		spec.PodTemplate = &runtime.RawExtension{Raw: raw}
	}
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil { // JSON is YAML, and keeps the order of the fields
		return nil, err
	}
	node := document.Content[0]
	block(node)
	for i := 0; i < len(node.Content); i += 2 {
		if note := p.on[node.Content[i].Value]; note != "" {
			node.Content[i].HeadComment = note
		}
	}
	return node, nil
}

// templateJSON is a pod template without the fields that Kubernetes' types write even if they are
// empty.
func templateJSON(template corev1.PodTemplateSpec) ([]byte, error) {
	data, err := json.Marshal(template)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	delete(fields, "metadata")
	spec, _ := fields["spec"].(map[string]any)
	if len(template.Spec.Containers) == 0 {
		delete(spec, "containers")
	}
	containers, _ := spec["containers"].([]any)
	for _, c := range containers {
		delete(c.(map[string]any), "resources")
	}
	return json.Marshal(fields)
}

// block turns JSON's flow style into YAML's block style; lists of plain words stay on one line.
func block(node *yaml.Node) {
	short := node.Kind == yaml.SequenceNode
	length := 0
	for _, child := range node.Content {
		short = short && child.Kind == yaml.ScalarNode
		length += len(child.Value) + 4
		block(child)
	}
	node.Style = 0
	if short && length < 90 {
		node.Style = yaml.FlowStyle
	}
}

func text(value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: value} }

func add(mapping *yaml.Node, key string, value *yaml.Node) {
	mapping.Content = append(mapping.Content, text(key), value)
}

// comment writes a text as comment lines of up to 100 columns.
func comment(out *bytes.Buffer, text string) {
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > 100 {
			out.WriteString(line + "\n")
			line = "#  "
		}
		line += " " + word
	}
	out.WriteString(line + "\n")
}
