package importer

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// manager is a configuration of GearmanManager.
type manager struct {
	main      *section
	functions map[string]*section
	names     []string // of the functions that it serves
	o         Options

	count, dedicated int32
}

// importManager makes a pool for each function with its own processes in GearmanManager, and one
// for all the others.
func importManager(data []byte, o Options) (*Result, error) {
	m, err := readManager(data, o)
	if err != nil {
		return nil, err
	}
	r := &Result{}
	shared := newPool("workers", "[GearmanManager] of "+o.File)
	var sharedNames []string
	for _, name := range m.names {
		own, all, err := m.processes(name)
		if err != nil {
			return nil, err
		}
		if own == 0 {
			sharedNames = append(sharedNames, name)
			continue
		}
		p := newPool(name, fmt.Sprintf("[%s] of %s", m.section(name).name, o.File))
		p.setFunctions([]string{name})
		p.say("GearmanManager kept %s for %s alone%s. The pool scales from 0 to %s as the queue needs; "+
			"set minReplicas to keep some.", count(
			own, "process", "processes",
		), name, also(all), count(own+all, "pod", "pods"))
		p.spec.MaxReplicas = own + all
		if err := m.fill(p, m.section(name)); err != nil {
			return nil, err
		}
		r.pools = append(r.pools, p)
	}
	if len(sharedNames) > 0 {
		shared.setFunctions(sharedNames)
		shared.spec.MaxReplicas = max(1, m.count)
		shared.say("GearmanManager kept %s that served all these functions. The pool scales from 0 to %s as the queue needs; "+
			"set minReplicas to keep some.", count(
			max(1, m.count), "process", "processes",
		), count(max(1, m.count), "pod", "pods"))
		if err := m.fill(shared, nil); err != nil {
			return nil, err
		}
		for _, name := range sharedNames {
			m.addLostOfFunction(shared, m.section(name))
		}
		r.pools = append([]*pool{shared}, r.pools...)
	}
	if len(r.pools) == 0 {
		return nil, errors.New(
			"it names no function: list those in the worker directory with --functions, or let this command find the directory",
		)
	}
	return r, nil
}

func also(all int32) string {
	if all == 0 {
		return ""
	}
	return fmt.Sprintf(", and %d for all functions", all)
}

func count(n int32, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func readManager(data []byte, o Options) (*manager, error) {
	var sections []*section
	var err error
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		sections, err = readJSON(data)
	} else {
		sections, err = readINI(data, false)
	}
	if err != nil {
		return nil, err
	}
	m := &manager{main: newSection("GearmanManager"), functions: map[string]*section{}, o: o}
	for _, s := range sections {
		if strings.EqualFold(s.name, "GearmanManager") {
			m.main = s
			continue
		}
		m.functions[s.name] = s
		m.names = append(m.names, s.name)
	}
	if m.count, err = m.main.number("count"); err != nil {
		return nil, err
	}
	if m.dedicated, err = m.main.number("dedicated_count"); err != nil {
		return nil, err
	}
	include, exclude := m.main.list("include"), m.main.list("exclude")
	everything := len(include) == 0 || slices.Equal(include, []string{"*"})
	if !everything {
		m.names = append(m.names, include...)
	}
	m.names = append(m.names, o.Functions...)
	seen := map[string]bool{}
	m.names = slices.DeleteFunc(m.names, func(name string) bool {
		drop := seen[name] || slices.Contains(exclude, name) || !everything && !slices.Contains(include, name)
		seen[name] = true
		return drop
	})
	return m, nil
}

// section returns a function's section, an empty one if it has none.
func (m *manager) section(name string) *section {
	if s := m.functions[name]; s != nil {
		return s
	}
	s := newSection("GearmanManager")
	m.functions[name] = s
	return s
}

// processes returns how many processes GearmanManager keeps for a function alone, and how many for
// it among all functions.
func (m *manager) processes(name string) (own, all int32, err error) {
	s := m.section(name)
	counted, err := s.number("count")
	if err != nil {
		return 0, 0, err
	}
	dedicated, err := s.number("dedicated_count")
	if err != nil {
		return 0, 0, err
	}
	if s.on("dedicated_only") {
		if dedicated == 0 {
			return 0, 0, fmt.Errorf(
				"[%s] has dedicated_only without dedicated_count, which GearmanManager refuses too", name,
			)
		}
		return dedicated, 0, nil
	}
	least := max(m.count, 1, counted)
	total := least
	switch {
	case dedicated > 0:
		total = m.count + dedicated
	case m.dedicated > 0:
		total = m.count + m.dedicated
	}
	total = max(total, least)
	return total - m.count, m.count, nil
}

// fill sets what all functions have in common, and what one of them has of its own.
func (m *manager) fill(p *pool, s *section) error {
	p.setServers(m.main.list("host"), m.o.Servers)
	dir := "/app/workers"
	dirs := m.main.list("worker_dir")
	relative := slices.ContainsFunc(dirs, func(d string) bool { return !strings.HasPrefix(d, "/") })
	switch {
	case relative:
		p.on["runtime"] = fmt.Sprintf(
			"worker_dir was %s: set --path to where your image has it", strings.Join(dirs, ", "),
		)
	case len(dirs) > 0:
		dir = strings.Join(dirs, ",")
	}
	loader := "/app/gearmanmanager/loader.php"
	if m.o.PEAR {
		loader = "/app/netgearman/loader.php"
	}
	command := []string{"php", loader, "--path", dir}
	if prefix := m.main.get("prefix"); prefix != "" {
		command = append(command, "--prefix", prefix)
	}
	p.spec.Concurrency = 1
	p.spec.Runtime = &v1alpha1.RuntimeSpec{
		Stream: &v1alpha1.StreamRuntime{Command: command},
		// As in GearmanManager, where the job server requeues the job of a process that died.
		OnCrash: v1alpha1.CrashRequeue,
	}
	if err := m.limits(p); err != nil {
		return err
	}
	m.addLost(p)
	if s != nil {
		m.addLostOfFunction(p, s)
	}
	return nil
}

// limits converts how long processes live and how long they may take to stop.
func (m *manager) limits(p *pool) error {
	runs, err := m.main.number("max_runs_per_worker")
	if err != nil {
		return err
	}
	if runs > 0 {
		p.spec.Runtime.Stream.MaxJobs = new(runs)
	}
	lifetime, err := m.main.number("max_worker_lifetime")
	if err != nil {
		return err
	}
	if lifetime == 0 {
		lifetime = 3600 // GearmanManager's own default
	}
	p.spec.Runtime.Stream.MaxLifetimeSeconds = new(lifetime)
	wait, err := m.main.number("graceful_shutdown_wait_time")
	if err != nil {
		return err
	}
	if wait > 0 {
		p.spec.DrainSeconds = new(wait)
	}
	return nil
}

// addLost records the settings of the main section that a pool doesn't have.
func (m *manager) addLost(p *pool) {
	if user := m.main.get("user"); user != "" {
		if uid, err := strconv.ParseInt(user, 10, 64); err == nil {
			p.template.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &uid}
		} else {
			p.addLost("user=%s. Set podTemplate.spec.securityContext.runAsUser to its number in your image.", user)
		}
	}
	if m.main.get("timeout") != "" {
		loseTimeout(p, m.main)
	}
	if m.main.on("auto_update") {
		p.addLost("auto_update. New code is a new image; the rollout lets running jobs finish.")
	}
	for _, key := range []string{"log_file", "pid_file", "worker_restart_splay", "daemon", "verbose", "file"} {
		m.main.get(key) // a pod logs to standard error, and its processes are replaced one by one
	}
	for _, key := range m.main.rest() {
		p.addLost("%s=%s: this setting is not known here.", key, m.main.get(key))
		m.main.asked[key] = false // for the other pools
	}
}

func loseTimeout(p *pool, s *section) {
	p.addLost("timeout=%s. There it gives a job that takes longer to another worker, while the first goes on. "+
		"runtime.jobTimeoutSeconds ends the job instead, and fails it.", s.get("timeout"))
}

// addLostOfFunction records the settings of a function's section that a pool doesn't have.
func (m *manager) addLostOfFunction(p *pool, s *section) {
	for _, key := range []string{"count", "dedicated_count", "dedicated_only"} {
		s.get(key)
	}
	if s.get("timeout") != "" {
		loseTimeout(p, s)
	}
	if s.get("priority") != "" {
		p.addLost(
			"priority=%s of %s. Each pool follows its own queue; give urgent jobs a pool of their own.",
			s.get("priority"), s.name,
		)
	}
	for _, key := range s.rest() {
		p.addLost("%s=%s of %s: this setting is not known here.", key, s.get(key), s.name)
	}
}
