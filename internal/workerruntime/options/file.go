package options

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"sigs.k8s.io/yaml"
)

// configFile is a configuration file: settings for the whole worker, and handlers with settings of
// their own.
type configFile struct {
	name     string
	settings func(*Option) (value, string, bool)
	handlers []handlerSpec
}

func readConfig(name string, readFile func(string) ([]byte, error)) (*configFile, error) {
	raw, err := readFile(name)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	top, err := decode(raw)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", name, err)
	}
	f := &configFile{name: name}
	handlers, hasHandlers := top["handlers"]
	delete(top, "handlers")
	if f.settings, err = settings(
		name, "", top, func(o *Option) bool { return o.Name != "config" && o.Name != "function" },
	); err != nil {
		return nil, err
	}
	if !hasHandlers {
		return f, nil
	}
	list, ok := handlers.([]any)
	if !ok {
		return nil, fmt.Errorf("file %s: handlers is not a list", name)
	}
	for i, h := range list {
		spec, err := readHandler(name, i+1, h)
		if err != nil {
			return nil, err
		}
		f.handlers = append(f.handlers, spec)
	}
	return f, nil
}

func decode(raw []byte) (map[string]any, error) {
	js, err := yaml.YAMLToJSONStrict(raw)
	if err != nil {
		return nil, err
	}
	var top map[string]any
	dec := json.NewDecoder(bytes.NewReader(js))
	dec.UseNumber()
	if err := dec.Decode(&top); err != nil {
		return nil, fmt.Errorf("is not a mapping of names to values")
	}
	return top, nil
}

func readHandler(file string, n int, h any) (handlerSpec, error) {
	entry, ok := h.(map[string]any)
	if !ok {
		return handlerSpec{}, fmt.Errorf("file %s: handler %d is not a mapping", file, n)
	}
	spec := handlerSpec{source: fmt.Sprintf("file %s, handler %d", file, n)}
	modes := 0
	for i := range modeTable {
		m := &modeTable[i]
		given, ok := entry[string(m.name)]
		if !ok {
			continue
		}
		delete(entry, string(m.name))
		modes++
		if err := spec.handler.setMode(m, given); err != nil {
			return spec, fmt.Errorf("file %s: handler %d: %w", file, n, err)
		}
	}
	if modes != 1 {
		return spec, fmt.Errorf("file %s: handler %d: set exactly one of %s", file, n, modeNames())
	}
	var err error
	spec.settings, err = settings(file, fmt.Sprintf("handler %d: ", n), entry, func(o *Option) bool {
		return o.PerHandler() && o.in(spec.handler.Mode)
	})
	return spec, err
}

// setMode sets the mode, and its command or URL from what is given.
func (h *Handler) setMode(m *mode, given any) error {
	words, err := texts(given)
	_, isList := given.([]any)
	switch {
	case m.url && (err != nil || len(words) != 1):
		return fmt.Errorf("%s is one URL", m.name)
	case err != nil || len(words) == 0:
		return fmt.Errorf("%s is the command, a list of the program and its arguments", m.name)
	case !m.url && !isList:
		return fmt.Errorf("%s is a list, as in %s: [/app/resize, --fast]", m.name, m.name)
	}
	h.Mode = m.name
	if m.url {
		h.URL = words[0]
	} else {
		h.Command = words
	}
	return nil
}

// settings checks the names of a mapping against the table and turns its values into strings.
func settings(
	file, where string, m map[string]any, legal func(*Option) bool,
) (func(*Option) (value, string, bool), error) {
	values := map[string]value{}
	for i := range Table {
		opt := &Table[i]
		given, ok := m[opt.Name]
		if !ok || !legal(opt) {
			continue
		}
		v, err := texts(given)
		if err != nil {
			return nil, fmt.Errorf("file %s: %s%s: %w", file, where, opt.Name, err)
		}
		if _, isList := given.([]any); isList && opt.Kind != List && opt.Kind != Words && opt.Kind != Lines {
			return nil, fmt.Errorf("file %s: %s%s takes one value, not a list", file, where, opt.Name)
		}
		values[opt.Name] = v
		delete(m, opt.Name)
	}
	if len(m) > 0 {
		var unknown []string
		for k := range m {
			unknown = append(unknown, k)
		}
		sort.Strings(unknown)
		return nil, fmt.Errorf("file %s: %sno such setting here: %s", file, where, strings.Join(unknown, ", "))
	}
	return func(opt *Option) (value, string, bool) {
		v, ok := values[opt.Name]
		return v, fmt.Sprintf("file %s: %s%s", file, where, opt.Name), ok
	}, nil
}

// texts turns a scalar or a list of scalars into strings.
func texts(v any) (value, error) {
	if list, ok := v.([]any); ok {
		var out value
		for _, e := range list {
			s, err := scalar(e)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		return out, nil
	}
	s, err := scalar(v)
	return value{s}, err
}

func scalar(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return fmt.Sprint(v), nil
	}
	return "", fmt.Errorf("%v is not a text, a number or true/false", v)
}
