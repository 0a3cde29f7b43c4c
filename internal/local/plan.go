package local

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/localworker"
	"github.com/gearman-operator/gearman-operator/internal/policy"
	"github.com/gearman-operator/gearman-operator/internal/sampling"
)

// plan is a pool's spec, translated for this machine.
type plan struct {
	key      backlog.PoolKey
	spec     v1alpha1.GearmanWorkerPoolSpec
	compiled policy.Compiled
	sub      backlog.Subscription
	retries  []string // those of the polled functions in which failed jobs wait for their next attempt

	mode  string   // of the worker process
	flags []string // of the worker process, before the mode
	args  []string // after the mode
	env   []string
	hash  string // of all inputs of a worker's start
	drain time.Duration

	telemetry bool     // its workers report what they do
	skipped   []string // fields without a meaning here
}

// planFor makes a plan, or returns what in a spec can't be done here.
func (f *Fleet) planFor(pool *v1alpha1.GearmanWorkerPool) (plan, error) {
	s := &pool.Spec
	p := plan{
		key: backlog.PoolKey{Namespace: pool.Namespace, Name: pool.Name}, spec: *s,
		drain: time.Duration(policy.DrainSeconds(s)) * time.Second, telemetry: s.Runtime != nil,
	}
	var err error
	if p.compiled, err = policy.Compile(s); err != nil {
		return p, err
	}
	p.skipped = skipped(s)
	files := secrets{dir: f.o.SecretsDir}
	if p.sub, err = subscription(pool, files); err != nil {
		return p, err
	}
	if s.Runtime != nil && s.Runtime.Retry != nil {
		p.retries = sampling.RetryFunctions(p.sub.Functions)
		p.sub.Functions = slices.Concat(p.sub.Functions, p.retries)
	}
	if p.env, err = environment(pool, files); err != nil {
		return p, err
	}
	if s.Resources != nil {
		if limit, ok := s.Resources.Limits[corev1.ResourceMemory]; ok {
			p.flags = append(p.flags, "--memory="+strconv.FormatInt(limit.Value(), 10))
		}
	}
	if err := p.command(files); err != nil {
		return p, err
	}
	raw, err := json.Marshal([][]string{{p.mode}, p.flags, p.args, p.env})
	if err != nil {
		return p, err
	}
	sum := sha256.Sum256(raw)
	p.hash = hex.EncodeToString(sum[:8])
	return p, nil
}

// command sets what a worker runs.
func (p *plan) command(files secrets) error {
	s := &p.spec
	switch {
	case s.Runtime != nil:
		dir, err := files.tlsDir(s.TLS, p.key)
		if err != nil {
			return err
		}
		mode, flags, rest := policy.RuntimeArgs(s, dir)
		p.mode, p.args = mode, slices.Concat(flags, []string{"--log-format=text"}, expandAll(rest, p.env))
	case len(s.Command) > 0:
		p.mode, p.args = localworker.Command, expandAll(slices.Concat(s.Command, s.Args), p.env)
		p.flags = append(p.flags, "--drain="+p.drain.String())
	case s.TargetRef != nil:
		return fmt.Errorf("targetRef names a workload of a cluster: there is nothing to run here; leave this pool out")
	default:
		return fmt.Errorf(
			"it has neither runtime nor command, only an image: add runtime.exec.command (or command) with the program to run here",
		)
	}
	return nil
}

// skipped returns the fields that have no meaning on a machine.
func skipped(s *v1alpha1.GearmanWorkerPoolSpec) []string {
	var names []string
	for name, set := range map[string]bool{
		"image": s.Image != "", "imagePullPolicy": s.ImagePullPolicy != "", "podTemplate": s.PodTemplate != nil,
		"resources, except for limits.memory": s.Resources != nil && (len(s.Resources.Requests) > 0 ||
			len(s.Resources.Limits) > 1 ||
			s.Resources.Limits.Memory().IsZero()),
	} {
		if set {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func subscription(pool *v1alpha1.GearmanWorkerPool, files secrets) (backlog.Subscription, error) {
	s := &pool.Spec
	sub := backlog.Subscription{
		Servers: policy.Servers(s), Functions: policy.Functions(s), Period: policy.Poll(s),
		StaleAfter: policy.StaleAfter(s),
		Doorbell:   s.Scaling != nil && s.Scaling.Wake != "" && s.Scaling.Wake != v1alpha1.WakePoll,
	}
	if s.TLS != nil {
		config, err := files.tls(s.TLS)
		if err != nil {
			return sub, err
		}
		sub.TLS = config
	}
	return sub, nil
}

// environment is the addition to the fleet's own environment.
func environment(pool *v1alpha1.GearmanWorkerPool, files secrets) ([]string, error) {
	var env []string
	for _, from := range pool.Spec.EnvFrom {
		more, err := files.all(from)
		if err != nil {
			return nil, err
		}
		env = append(env, more...)
	}
	for _, v := range pool.Spec.Env {
		value := v.Value
		if v.ValueFrom != nil {
			var set bool
			var err error
			if value, set, err = files.value(pool, v.ValueFrom); err != nil {
				return nil, fmt.Errorf("env %s: %w", v.Name, err)
			}
			if !set {
				continue
			}
		}
		env = append(env, v.Name+"="+expand(value, env))
	}
	return env, nil
}

// expand replaces $(NAME) by the variable's value, as Kubernetes does: unknown names stay, and $$
// is one $.
func expand(text string, env []string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		switch text[i+1] {
		case '$':
			b.WriteByte('$')
			i++
		case '(':
			name, _, closed := strings.Cut(text[i+2:], ")")
			value, known := lookUp(name, env)
			if !closed || !known {
				b.WriteByte('$')
				continue
			}
			b.WriteString(value)
			i += len(name) + 2
		default:
			b.WriteByte('$')
		}
	}
	return b.String()
}

func expandAll(texts, env []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = expand(text, env)
	}
	return out
}

func lookUp(name string, env []string) (string, bool) {
	for _, v := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// DefaultStateDir is where state files are kept unless the user says otherwise.
func DefaultStateDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "gearmanctl")
	}
	if os.Geteuid() == 0 {
		return "/run/gearmanctl"
	}
	return filepath.Join(os.TempDir(), "gearmanctl-"+strconv.Itoa(os.Geteuid()))
}
