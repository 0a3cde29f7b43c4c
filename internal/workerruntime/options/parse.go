package options

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// ErrHelp is returned for -h and --help.
var ErrHelp = flag.ErrHelp

// Environment is where values come from besides the flags. Tests set their own.
type Environment struct {
	Lookup   func(name string) (string, bool)
	ReadFile func(name string) ([]byte, error)
}

// System is the environment of this process.
var System = Environment{Lookup: os.LookupEnv, ReadFile: os.ReadFile}

// Parse reads the arguments after the command's name: exec, stream, http or run. Its errors say
// what to change.
func Parse(mode Mode, args []string, env Environment) (*Options, error) {
	flags, rest, err := parseFlags(mode, args)
	if err != nil {
		return nil, err
	}
	var file *configFile
	if name, ok := firstOf(flags, env, "config"); ok && name != "" {
		if file, err = readConfig(name, env.ReadFile); err != nil {
			return nil, err
		}
	}
	o := &Options{}
	layers := []layer{flagLayer(flags), envLayer(env)}
	fileLayers := layers
	if file != nil {
		fileLayers = append(fileLayers, layer{"file " + file.name, file.settings})
	}
	for i := range Table {
		opt := &Table[i]
		if opt.set == nil {
			continue
		}
		if err := o.apply(opt, 0, fileLayers, func(v value) error { return opt.set(o, v) }); err != nil {
			return nil, err
		}
	}
	specs, err := handlerSpecs(mode, rest, file)
	if err != nil {
		return nil, err
	}
	for n, spec := range specs {
		h, ls := spec.handler, fileLayers
		if spec.settings != nil {
			ls = append(slices.Clone(layers), layer{fmt.Sprintf("file %s, handler %d", file.name, n+1), spec.settings})
			ls = append(ls, fileLayers[len(layers):]...)
		}
		o.Settings = append(
			o.Settings, Setting{n + 1, string(h.Mode), strings.Join(append(h.Command, h.URL), " "), spec.source},
		)
		for i := range Table {
			opt := &Table[i]
			if opt.setHandler == nil || !opt.in(h.Mode) {
				continue
			}
			if err := o.apply(opt, n+1, ls, func(v value) error { return opt.setHandler(&h, v) }); err != nil {
				return nil, err
			}
		}
		o.Handlers = append(o.Handlers, h)
	}
	return o, o.validate(mode)
}

// in reports whether the option applies to a mode.
func (o *Option) in(m Mode) bool {
	return len(o.Modes) == 0 || m == RunMode || slices.Contains(o.Modes, m)
}

// flagOf reports whether the option is a flag of a command. With run, the functions are in the
// file.
func (o *Option) flagOf(m Mode) bool { return o.in(m) && (m != RunMode || o.Name != "function") }

// A layer is one source of values, by option name.
type layer struct {
	source string
	get    func(*Option) (value, string, bool) // the value and its name in this source
}

func (o *Options) apply(opt *Option, handler int, layers []layer, set func(value) error) error {
	v, source, name := value{}, "default", opt.Name
	if opt.Default != "" {
		v = value{opt.Default}
	}
	for _, l := range layers {
		if got, as, ok := l.get(opt); ok {
			v, source, name = got, l.source, as
			break
		}
	}
	if len(opt.Values) > 0 && !slices.Contains(opt.Values, v.text()) {
		return fmt.Errorf("%s: %q is not one of %s", name, v.text(), strings.Join(opt.Values, ", "))
	}
	if err := set(v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if opt.Name != "config" && opt.Name != "check" {
		o.Settings = append(o.Settings, Setting{handler, opt.Name, strings.Join(v, " "), source})
	}
	return nil
}

func flagLayer(flags map[string]value) layer {
	return layer{"flag", func(opt *Option) (value, string, bool) {
		v, ok := flags[opt.Name]
		return v, "--" + opt.Name, ok
	}}
}

func envLayer(env Environment) layer {
	return layer{"environment", func(opt *Option) (value, string, bool) {
		s, ok := env.Lookup(opt.Env())
		// An empty variable is what a template leaves behind, so it counts as unset.
		return opt.Kind.split(s), opt.Env(), ok && s != ""
	}}
}

func firstOf(flags map[string]value, env Environment, name string) (string, bool) {
	if v, ok := flags[name]; ok {
		return v.text(), true
	}
	return env.Lookup(envName(name))
}

// collector is the flag.Value of every option: it only stores what was given.
type collector struct {
	opt  *Option
	into map[string]value
}

func (c collector) String() string   { return "" }
func (c collector) IsBoolFlag() bool { return c.opt != nil && c.opt.Kind == Bool }
func (c collector) Set(s string) error {
	switch c.opt.Kind {
	case List:
		c.into[c.opt.Name] = append(c.into[c.opt.Name], List.split(s)...)
	case Words, Lines:
		c.into[c.opt.Name] = append(c.into[c.opt.Name], s)
	default:
		c.into[c.opt.Name] = value{s}
	}
	return nil
}

func parseFlags(mode Mode, args []string) (map[string]value, []string, error) {
	got := map[string]value{}
	fs := flag.NewFlagSet(string(mode), flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	for i := range Table {
		opt := &Table[i]
		if opt.flagOf(mode) {
			fs.Var(collector{opt, got}, opt.Name, "")
		}
	}
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil, nil, ErrHelp
	}
	if err != nil {
		msg := err.Error()
		if name, ok := strings.CutPrefix(msg, "flag provided but not defined: -"); ok {
			msg = unknownFlag(mode, strings.TrimLeft(name, "-"))
		}
		return nil, nil, fmt.Errorf("%s; see gearman-worker %s --help", msg, mode)
	}
	return got, fs.Args(), nil
}

func unknownFlag(mode Mode, name string) string {
	for i := range Table {
		if Table[i].Name == name {
			return fmt.Sprintf("--%s does not apply to %s", name, mode)
		}
	}
	return "there is no option --" + name
}

// handlerSpec is a handler as given, before the options are applied to it.
type handlerSpec struct {
	handler  Handler
	source   string
	settings func(*Option) (value, string, bool)
}

func handlerSpecs(mode Mode, rest []string, file *configFile) ([]handlerSpec, error) {
	if mode != RunMode && file != nil && len(file.handlers) > 0 {
		return nil, fmt.Errorf("file %s has handlers: start it as gearman-worker run --config %s", file.name, file.name)
	}
	spec := handlerSpec{handler: Handler{Mode: mode}, source: "command line"}
	if mode == RunMode {
		if len(rest) > 0 {
			return nil, fmt.Errorf("run takes no argument %q: its commands are in the file of --config", rest[0])
		}
		if file == nil || len(file.handlers) == 0 {
			return nil, errors.New("run needs --config FILE with at least one entry in handlers")
		}
		return file.handlers, nil
	}
	const example = "as in: gearman-worker %[1]s --function resize -- %[2]s"
	switch d := mode.describe(); {
	case d == nil:
		return nil, fmt.Errorf("there is no mode %q: use %s", mode, modeNames())
	case d.url && len(rest) != 1:
		return nil, fmt.Errorf("%[1]s needs one URL after its options, "+example, mode, d.example)
	case d.url:
		spec.handler.URL = rest[0]
	case len(rest) == 0:
		return nil, fmt.Errorf("%[1]s needs a command after its options, "+example, mode, d.example)
	default:
		spec.handler.Command = rest
	}
	return []handlerSpec{spec}, nil
}

func (o *Options) validate(mode Mode) error {
	seen := map[string]bool{}
	for n, h := range o.Handlers {
		if len(h.Functions) == 0 {
			if mode == RunMode {
				return fmt.Errorf("handler %d has no function", n+1)
			}
			return errors.New("give at least one --function")
		}
		for _, f := range h.Functions {
			if seen[f] {
				return fmt.Errorf("function %q has two handlers", f)
			}
			seen[f] = true
		}
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key belong together: give both or none")
	}
	o.TLS = o.TLS || o.TLSCA != "" || o.TLSCert != ""
	if o.SpoolDir == "" {
		o.SpoolDir = os.TempDir()
	}
	return nil
}
