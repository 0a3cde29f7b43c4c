package importer

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// importSupervisor makes a pool of each program of supervisord.
func importSupervisor(data []byte, o Options) (*Result, error) {
	sections, err := readINI(data, true)
	if err != nil {
		return nil, err
	}
	functions, err := functionsByProgram(o.Functions)
	if err != nil {
		return nil, err
	}
	r := &Result{}
	for _, s := range sections {
		kind, name, _ := strings.Cut(s.name, ":")
		name = strings.TrimSpace(name)
		switch kind {
		case "program":
			p, err := program(s, name, functions[name], o)
			if err != nil {
				return nil, err
			}
			delete(functions, name)
			r.pools = append(r.pools, p)
		case "group":
			r.notes = append(
				r.notes, fmt.Sprintf("[%s]: pools have no groups; label them instead, as in metadata.labels.", s.name),
			)
		case "include":
			r.notes = append(r.notes, "[include] files="+s.get("files")+": import each of these files too.")
		case "eventlistener", "fcgi-program":
			r.notes = append(r.notes, fmt.Sprintf("[%s]: only [program:...] sections become pools.", s.name))
		}
	}
	for name := range functions {
		return nil, fmt.Errorf("there is no [program:%s], whose functions were given", name)
	}
	if len(r.pools) == 0 {
		return nil, errors.New("it has no [program:NAME] section")
	}
	return r, nil
}

// functionsByProgram reads "program=function" pairs.
func functionsByProgram(pairs []string) (map[string][]string, error) {
	all := map[string][]string{}
	for _, pair := range pairs {
		program, function, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fmt.Errorf("a function of a supervisord program is written PROGRAM=FUNCTION, not %q", pair)
		}
		all[program] = append(all[program], function)
	}
	return all, nil
}

func program(s *section, name string, functions []string, o Options) (*pool, error) {
	p := newPool(name, fmt.Sprintf("[%s] of %s", s.name, o.File))
	line := expand(s.get("command"), name, p)
	if line == "" {
		return nil, fmt.Errorf("[%s] has no command", s.name)
	}
	words, err := splitWords(line)
	if err != nil {
		return nil, fmt.Errorf("[%s] command: %w", s.name, err)
	}
	replicas, err := s.number("numprocs")
	if err != nil {
		return nil, err
	}
	p.spec.Concurrency, p.spec.MaxReplicas = 1, max(1, replicas)
	p.say("supervisord kept %s. The pool scales from 0 to %s as the queue needs; set minReplicas to keep some.",
		count(p.spec.MaxReplicas, "process", "processes"), count(p.spec.MaxReplicas, "pod", "pods"))

	if tool, ok := parseGearmanTool(words); ok {
		tool.fill(p, o)
	} else {
		p.setServers(nil, o.Servers)
		p.spec.Command = words
		p.say("Its program speaks Gearman itself, so the pool has no runtime. The operator can't know which of its pods are idle; " +
			"set scaling.podRemoval to Graceful if it finishes its job on SIGTERM.")
		if len(functions) == 0 {
			functions = []string{name}
			p.on["function"] = "set the function that it serves (functions for several)"
		}
		p.setFunctions(functions)
	}
	if err := surroundings(p, s, name); err != nil {
		return nil, err
	}
	return p, nil
}

// surroundings converts what a program has around its command.
func surroundings(p *pool, s *section, name string) error {
	env, err := environment(expand(s.get("environment"), name, p))
	if err != nil {
		return fmt.Errorf("[%s] environment: %w", s.name, err)
	}
	p.spec.Env = append(p.spec.Env, env...)
	if dir := expand(s.get("directory"), name, p); dir != "" {
		p.worker().WorkingDir = dir
	}
	if user := s.get("user"); user != "" {
		if uid, err := strconv.ParseInt(user, 10, 64); err == nil {
			p.template.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &uid}
		} else {
			p.addLost("user=%s. Set podTemplate.spec.securityContext.runAsUser to its number in your image.", user)
		}
	}
	wait, err := s.number("stopwaitsecs")
	if err != nil {
		return err
	}
	if wait > 0 {
		p.spec.DrainSeconds = new(wait)
	}
	if signal := strings.TrimPrefix(strings.ToUpper(s.get("stopsignal")), "SIG"); signal != "" && signal != "TERM" {
		p.addLost("stopsignal=%s. Kubernetes sends SIGTERM: put STOPSIGNAL SIG%s into your Dockerfile.", signal, signal)
	}
	if s.get("autostart") != "" && !s.on("autostart") {
		p.spec.Scaling = &v1alpha1.ScalingSpec{Mode: v1alpha1.ModePaused}
		p.say("autostart was false: the pool is paused until you change scaling.mode.")
	}
	if restart := s.get("autorestart"); restart != "" && !s.on("autorestart") {
		p.addLost("autorestart=%s. A container that ends is always restarted.", restart)
	}
	s.asked["autorestart"] = true
	ignored := []string{ // a pod has its own setting for each of these
		"process_name", "numprocs_start", "priority", "startsecs", "startretries", "exitcodes", "stopasgroup",
		"killasgroup", "redirect_stderr",
	}
	for _, key := range s.keys {
		if slices.Contains(ignored, key) || strings.HasPrefix(key, "stdout_") || strings.HasPrefix(key, "stderr_") {
			s.asked[key] = true
		}
	}
	for _, key := range s.rest() {
		p.addLost("%s=%s.", key, s.get(key))
	}
	return nil
}

var expression = regexp.MustCompile(`%\(([A-Za-z0-9_]+)\)[0-9]*[sdi]`)

// expand replaces supervisord's %(name)s expressions, as far as they mean something in a pod.
func expand(value, name string, p *pool) string {
	value = expression.ReplaceAllStringFunc(value, func(match string) string {
		key := expression.FindStringSubmatch(match)[1]
		switch {
		case key == "program_name" || key == "group_name":
			return name
		case strings.HasPrefix(key, "ENV_"):
			// Kubernetes replaces $(NAME) in commands and values by the container's own variables.
			variable := strings.TrimPrefix(key, "ENV_")
			p.addLost("%s: set the variable %s in env.", match, variable)
			return "$(" + variable + ")"
		}
		p.addLost("%s in %q: pods don't have this number or path; change the text.", match, value)
		return match
	})
	return strings.ReplaceAll(value, "%%", "%")
}

// environment reads KEY="value",KEY2=value2.
func environment(value string) ([]corev1.EnvVar, error) {
	var all []corev1.EnvVar
	for rest := strings.TrimLeft(value, ", \t\n"); rest != ""; rest = strings.TrimLeft(rest, ", \t\n") {
		key, after, ok := strings.Cut(rest, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" || strings.ContainsAny(key, " \t\",'") {
			return nil, fmt.Errorf("want KEY=\"value\",KEY=\"value\" at %q", rest)
		}
		after = strings.TrimLeft(after, " \t")
		var content string
		if quote := after; quote != "" && (quote[0] == '"' || quote[0] == '\'') {
			end := strings.IndexByte(quote[1:], quote[0])
			if end < 0 {
				return nil, fmt.Errorf("the value of %s has no closing quote", key)
			}
			content, rest = quote[1:end+1], quote[end+2:]
		} else {
			content, rest, _ = strings.Cut(after, ",")
			content = strings.TrimSpace(content)
		}
		all = append(all, corev1.EnvVar{Name: key, Value: content})
	}
	return all, nil
}
