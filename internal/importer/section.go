package importer

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"gopkg.in/ini.v1"
)

// section is a section of a file, which records which of its keys were read.
type section struct {
	name  string
	keys  []string // in the order of the file
	value map[string][]string
	asked map[string]bool
}

func newSection(name string) *section {
	return &section{name: name, value: map[string][]string{}, asked: map[string]bool{}}
}

func (s *section) set(key string, values ...string) {
	key = strings.TrimSuffix(key, "[]")
	if _, ok := s.value[key]; !ok {
		s.keys = append(s.keys, key)
	}
	s.value[key] = append(s.value[key], values...)
}

// get returns a key's value, "" if it is not there.
func (s *section) get(key string) string {
	s.asked[key] = true
	if values := s.value[key]; len(values) > 0 {
		return strings.TrimSpace(values[len(values)-1])
	}
	return ""
}

// list returns a key's values: several, or one with commas.
func (s *section) list(key string) []string {
	s.asked[key] = true
	var all []string
	for _, value := range s.value[key] {
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); part != "" {
				all = append(all, part)
			}
		}
	}
	return all
}

// number returns a key's value as a number that is not negative, 0 if it is not there.
func (s *section) number(key string) (int32, error) {
	value := s.get(key)
	if value == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("[%s] %s must be a whole number, not %q", s.name, key, value)
	}
	return int32(n), nil
}

// on reports whether a key is set to a value that PHP or supervisord take for true.
func (s *section) on(key string) bool {
	switch strings.ToLower(s.get(key)) {
	case "", "0", "no", "off", "false", "none", "null":
		return false
	}
	return true
}

// rest returns the keys that were not read.
func (s *section) rest() []string {
	return slices.DeleteFunc(slices.Clone(s.keys), func(key string) bool { return s.asked[key] })
}

// readINI reads a file's sections in order. A comment after a value begins with a semicolon; in
// Python's dialect, supervisord's, only with a blank before it, and values go on in lines that are
// indented.
func readINI(data []byte, python bool) ([]*section, error) {
	file, err := ini.LoadSources(ini.LoadOptions{
		AllowShadows:               true, // key[] = a, again and again
		AllowPythonMultilineValues: python,
		SpaceBeforeInlineComment:   python,
	}, data)
	if err != nil {
		return nil, fmt.Errorf("it is not an INI file: %w", err)
	}
	var all []*section
	for _, from := range file.Sections() {
		s := newSection(from.Name())
		for _, key := range from.Keys() {
			s.set(key.Name(), key.ValueWithShadows()...)
		}
		if s.name == ini.DefaultSection {
			if len(s.keys) > 0 {
				return nil, fmt.Errorf("%s stands before the first section", s.keys[0])
			}
			continue
		}
		all = append(all, s)
	}
	return all, nil
}

// readJSON reads a JSON object of objects as sections, in order.
func readJSON(data []byte) ([]*section, error) {
	var document yaml.Node // JSON is YAML, and a node keeps the order
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("want a JSON object with one object for each section")
	}
	var all []*section
	for name, node := range pairs(document.Content[0]) {
		if node.Kind != yaml.MappingNode {
			return nil, fmt.Errorf("%s must be an object", name)
		}
		s := newSection(name)
		for key, value := range pairs(node) {
			switch value.Kind {
			case yaml.ScalarNode:
				s.set(key, value.Value)
			case yaml.SequenceNode:
				for _, item := range value.Content {
					s.set(key, item.Value)
				}
			default:
				return nil, fmt.Errorf("%s.%s must be a value or a list of values", name, key)
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// pairs ranges over the keys and values of a mapping.
func pairs(mapping *yaml.Node) func(func(string, *yaml.Node) bool) {
	return func(yield func(string, *yaml.Node) bool) {
		for i := 0; i+1 < len(mapping.Content); i += 2 {
			if !yield(mapping.Content[i].Value, mapping.Content[i+1]) {
				return
			}
		}
	}
}
