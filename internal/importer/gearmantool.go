package importer

import (
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// gearmanTool is a call of libgearman's `gearman -w -f FUNCTION -- COMMAND`.
type gearmanTool struct {
	worker, tls, lines bool
	host, port         string
	functions, command []string
	lost               []string
}

// takesValue are the options that have a value, after them or in the next word.
const takesValue = "fhptciu"

// parseGearmanTool reads the words of a command, if it is the gearman tool as a worker.
func parseGearmanTool(words []string) (*gearmanTool, bool) {
	if path.Base(words[0]) != "gearman" {
		return nil, false
	}
	g := &gearmanTool{}
	rest := words[1:]
	for len(rest) > 0 && len(rest[0]) > 1 && rest[0][0] == '-' && rest[0] != "--" {
		letters := rest[0][1:]
		rest = rest[1:]
		for letters != "" {
			letter := letters[0]
			letters = letters[1:]
			if !strings.ContainsRune(takesValue, rune(letter)) {
				g.flag(letter)
				continue
			}
			value := letters
			if value == "" && len(rest) > 0 {
				value, rest = rest[0], rest[1:]
			}
			g.option(letter, value)
			break
		}
	}
	if len(rest) > 0 && rest[0] == "--" {
		rest = rest[1:]
	}
	if g.command = rest; len(rest) == 0 {
		g.command = []string{"cat"} // as the tool does: it returns the workload
	}
	return g, g.worker && len(g.functions) > 0
}

func (g *gearmanTool) option(letter byte, value string) {
	switch letter {
	case 'f':
		g.functions = append(g.functions, value)
	case 'h':
		g.host = value
	case 'p':
		g.port = value
	case 'c':
		g.lost = append(
			g.lost,
			fmt.Sprintf("-c %s. A pod keeps running after this many jobs; each job has a process of its own anyway.", value),
		)
	case 't':
		g.lost = append(g.lost, fmt.Sprintf("-t %s. The runtime waits for a job for as long as it takes.", value))
	}
}

func (g *gearmanTool) flag(letter byte) {
	switch letter {
	case 'w':
		g.worker = true
	case 'S':
		g.tls = true
	case 'n', 'N':
		g.lines = true
	}
}

// fill makes the pool run the tool's command for each job.
func (g *gearmanTool) fill(p *pool, o Options) {
	host := g.host
	if host == "" && g.port != "" {
		host = "localhost"
	}
	if g.port != "" {
		host += ":" + g.port
	}
	p.setServers([]string{host}, o.Servers)
	p.setFunctions(g.functions)
	if g.tls {
		p.spec.TLS = &v1alpha1.TLSSpec{}
		p.on["tls"] = "GEARMAN_CA_CERTIFICATE and the like become Secrets: caSecret, clientCertificateSecret"
	}
	p.spec.Runtime = &v1alpha1.RuntimeSpec{Exec: &v1alpha1.ExecRuntime{Command: g.command}}
	if g.lines {
		// -n sends each line at once
		p.spec.Env = append(p.spec.Env, corev1.EnvVar{Name: "GEARMAN_WORKER_STREAM_OUTPUT", Value: "true"})
	}
	p.lost = append(p.lost, g.lost...)
}
