package importer

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// Format is the kind of file that is imported.
type Format string

// The formats.
const (
	GearmanManager Format = "gearmanmanager"
	Supervisor     Format = "supervisor"
)

// Options add what a file of another system does not contain.
type Options struct {
	// File is the file's name, for comments and errors.
	File string
	// Format is detected from the file if it is empty.
	Format Format
	// Image of all pools; a placeholder, marked by a comment, if it is empty.
	Image string
	// Servers replace those in the file.
	Servers []string
	// Functions are those whose names are not in the file: of GearmanManager all in its worker
	// directory, of a supervisord program those after its name, as in "mailer=send_mail".
	Functions []string
	// PEAR says that GearmanManager's workers are classes Net_Gearman_Job_*, rather than plain
	// functions and classes.
	PEAR bool
}

// Result is the conversion of a file.
type Result struct {
	pools []*pool
	notes []string // on the file as a whole
}

// Pools returns how many pools there are.
func (r *Result) Pools() int { return len(r.pools) }

// Notes returns how many comments list settings that could not be converted.
func (r *Result) Notes() int {
	n := len(r.notes)
	for _, p := range r.pools {
		n += len(p.lost)
	}
	return n
}

// pool is one pool and the comments on it.
type pool struct {
	name, from string // from: its section
	spec       v1alpha1.GearmanWorkerPoolSpec
	template   corev1.PodTemplateSpec
	about      []string          // remarks for the reader of the pool
	lost       []string          // settings that could not be converted, and what to do about them
	on         map[string]string // comments on fields of the spec
}

func newPool(name, from string) *pool {
	return &pool{name: name, from: from, on: map[string]string{}}
}

func (p *pool) addLost(format string, args ...any) {
	p.lost = append(p.lost, fmt.Sprintf(format, args...))
}

func (p *pool) say(format string, args ...any) {
	p.about = append(p.about, fmt.Sprintf(format, args...))
}

// worker returns the container of the pod template that is merged into the worker.
func (p *pool) worker() *corev1.Container {
	if len(p.template.Spec.Containers) == 0 {
		p.template.Spec.Containers = []corev1.Container{{Name: "worker"}}
	}
	return &p.template.Spec.Containers[0]
}

const (
	placeholderImage  = "registry.example.com/workers:1"
	placeholderServer = "gearmand:4730"
)

// Import converts a file. An error says what is wrong with it, and where.
func Import(data []byte, o Options) (*Result, error) {
	if o.Format == "" {
		var err error
		if o.Format, err = detect(data); err != nil {
			return nil, fmt.Errorf("%s: %w", o.File, err)
		}
	}
	var r *Result
	var err error
	switch o.Format {
	case GearmanManager:
		r, err = importManager(data, o)
	case Supervisor:
		r, err = importSupervisor(data, o)
	default:
		return nil, fmt.Errorf("the format must be %s or %s, not %q", GearmanManager, Supervisor, o.Format)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.File, err)
	}
	used := map[string]bool{}
	for _, p := range r.pools {
		p.name = unique(used, p.name)
		p.spec.Image = o.Image
		if o.Image == "" {
			p.spec.Image = placeholderImage
			p.on["image"] = "set your image"
		}
		for _, f := range functionsOf(p) {
			if err := checkFunction(f); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", o.File, p.from, err)
			}
		}
	}
	return r, nil
}

// detect detects the format of a file.
func detect(data []byte) (Format, error) {
	text := string(data)
	switch trimmed := strings.TrimSpace(text); {
	case trimmed == "":
		return "", errors.New("the file is empty")
	case strings.HasPrefix(trimmed, "{"):
		return GearmanManager, nil
	case strings.HasPrefix(trimmed, "<?php"):
		return "", errors.New("PHP can't be read as it is. Print the array as JSON, and import that: " +
			`php -r 'require $argv[1]; echo json_encode($gearman_config);' config.php >config.json`)
	case regexp.MustCompile(`(?m)^\s*\[(program|group|supervisord|fcgi-program|eventlistener|include)[:\]]`).MatchString(text):
		return Supervisor, nil
	case regexp.MustCompile(`(?mi)^\s*\[GearmanManager\]`).MatchString(text):
		return GearmanManager, nil
	}
	return "", fmt.Errorf(
		"it has neither a section [GearmanManager] nor a section [program:NAME]: name its format, %s or %s",
		GearmanManager, Supervisor,
	)
}

func functionsOf(p *pool) []string {
	if p.spec.Function != "" {
		return []string{string(p.spec.Function)}
	}
	all := make([]string, len(p.spec.Functions))
	for i, f := range p.spec.Functions {
		all[i] = string(f)
	}
	return all
}

func (p *pool) setFunctions(names []string) {
	if len(names) == 1 {
		p.spec.Function = v1alpha1.FunctionName(names[0])
		return
	}
	for _, name := range names {
		p.spec.Functions = append(p.spec.Functions, v1alpha1.FunctionName(name))
	}
}

func checkFunction(name string) error {
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("%q can't be a Gearman function of a pool: use 1 to 255 bytes without white space", name)
	}
	return nil
}

// setServers sets the job servers: those of the options, otherwise those of the file. The loopback
// address would be the pod itself in a cluster, and is replaced.
func (p *pool) setServers(fromFile, fromOptions []string) {
	var servers []string
	for _, server := range fromFile {
		if server = strings.TrimSpace(server); server == "" {
			continue
		}
		host, _, _ := strings.Cut(server, ":")
		if len(fromOptions) == 0 && (host == "localhost" || strings.HasPrefix(host, "127.")) {
			p.on["servers"] = server + " would be the pod itself: set the job server's address"
			server = placeholderServer
		}
		servers = append(servers, server)
	}
	if len(fromOptions) > 0 {
		servers = fromOptions
	}
	if len(servers) == 0 {
		servers = []string{placeholderServer}
		p.on["servers"] = "set the job server's address"
	}
	seen := map[string]bool{}
	for _, server := range servers {
		if !seen[server] {
			seen[server] = true
			p.spec.Servers = append(p.spec.Servers, v1alpha1.ServerAddress(server))
		}
	}
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// unique makes a valid and unused Kubernetes name from any name.
func unique(used map[string]bool, name string) string {
	name = strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if name == "" {
		name = "pool"
	}
	name = strings.Trim(name[:min(len(name), 50)], "-")
	candidate := name
	for i := 2; used[candidate]; i++ {
		candidate = fmt.Sprintf("%s-%d", name, i)
	}
	used[candidate] = true
	return candidate
}
