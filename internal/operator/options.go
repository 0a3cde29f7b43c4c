package operator

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/gearman-operator/gearman-operator/internal/access"
	"github.com/gearman-operator/gearman-operator/internal/resolve"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// Options are the manager's flags, checked.
type Options struct {
	MetricsAddress, ProbeAddress, ProfileAddress string

	MetricsSecure  bool
	MetricsCertDir string

	LeaderElect          bool
	LeaderNamespace      string
	Namespaces           []string
	ExcludeNamespaces    []string
	RuntimeImage         string
	RuntimePullPolicy    corev1.PullPolicy
	RuntimePullSecrets   []string
	RolloutRuntimeAtOnce bool
	MinPoll              time.Duration
	ForeignFunctions     int
	MaxPoolServers       int
	MaxNamespaceServers  int
	MaxNamespaceQueues   int
	JobServers           *access.Policy
	LogFormat, LogLevel  string
}

// Parse parses the command line. The error says which flag is wrong and which values it takes.
func Parse(name string, args []string) (Options, error) {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	var o Options
	var l literals
	addFlags(fs, &o, &l)
	if err := fs.Parse(args); err != nil {
		return Options{}, err
	}
	if fs.NArg() > 0 {
		return Options{}, fmt.Errorf("unexpected argument %q: options start with --", fs.Arg(0))
	}
	o.Namespaces, o.ExcludeNamespaces = commaList(l.namespaces), commaList(l.excluded)
	o.RuntimePullSecrets = commaList(l.secrets)
	o.RuntimePullPolicy = corev1.PullPolicy(l.pull)
	o.MinPoll = time.Duration(l.minPoll) * time.Second
	o.RolloutRuntimeAtOnce = l.rollout == "Immediate"
	var err error
	if o.JobServers, err = access.Parse(l.allowed); err != nil {
		err = fmt.Errorf("--allowed-job-servers: %w", err)
	}
	return o, errors.Join(append(check(&o, &l), err)...)
}

// literals are the flags whose options are of another type.
type literals struct {
	namespaces, excluded, secrets, allowed string
	pull, rollout                          string
	minPoll                                int // seconds
}

//nolint:funlen // a list
func addFlags(fs *flag.FlagSet, o *Options, l *literals) {
	fs.StringVar(&o.MetricsAddress, "metrics-bind-address", ":8080", "address of /metrics; 0 turns it off")
	fs.BoolVar(
		&o.MetricsSecure, "metrics-secure", true,
		"serve /metrics over HTTPS, and only to clients that the API server authorizes to get that path; false: plain HTTP, for everyone",
	)
	fs.StringVar(
		&o.MetricsCertDir, "metrics-cert-dir", "",
		"directory with tls.crt and tls.key of /metrics; empty: a certificate of its own making",
	)
	fs.StringVar(
		&o.ProbeAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz; 0 turns it off",
	)
	fs.StringVar(
		&o.ProfileAddress, "pprof-bind-address", "0",
		"address of /debug/pprof, for profiles of the operator itself; 0 turns it off",
	)
	fs.BoolVar(
		&o.LeaderElect, "leader-elect", false,
		"work only while holding the leader lease, so that several replicas may run",
	)
	fs.StringVar(
		&o.LeaderNamespace, "leader-election-namespace", "",
		"namespace of the leader lease; empty: the operator's own",
	)
	fs.StringVar(&l.namespaces, "watch-namespaces", "", "namespaces to work in, separated by commas; empty: all")
	fs.StringVar(&l.excluded, "exclude-namespaces", "",
		"namespaces never to work in, separated by commas, besides kube-system and the operator's own",
	)
	fs.StringVar(
		&o.RuntimeImage, "runtime-image", os.Getenv("RUNTIME_IMAGE"),
		"image that the worker runtime is injected from: the operator's own (default: the environment's RUNTIME_IMAGE)",
	)
	fs.StringVar(&l.pull, "runtime-image-pull-policy", "",
		"pull policy of the runtime's image: Always, IfNotPresent or Never; empty: Kubernetes' default",
	)
	fs.StringVar(&l.secrets, "runtime-image-pull-secrets", "",
		"pull secrets of the runtime's image, separated by commas; they must exist in the pools' namespaces",
	)
	fs.StringVar(&l.rollout, "runtime-rollout", "OnTemplateChange",
		"when pools take a new runtime image: OnTemplateChange (with their next change) or Immediate (all roll at once)",
	)
	fs.IntVar(&l.minPoll, "min-poll-seconds", 1, "shortest time between two polls of a job server, whatever pools ask for")
	fs.IntVar(
		&o.ForeignFunctions, "foreign-functions", 0,
		"show the metrics of up to this many functions that no pool has, for each job server; for the alert on functions without a pool",
	)
	fs.IntVar(
		&o.MaxPoolServers, "max-job-servers-per-pool", resolve.MaxServers,
		"how many job servers (addresses) of a pool are used; a pool with more uses the first ones and reports it in its condition TooManyJobServers. A changed number reaches pods with their pool's next rollout",
	)
	fs.IntVar(
		&o.MaxNamespaceServers, "max-job-servers-per-namespace", 256,
		"how many job servers, and how many names, all pools of a namespace may have together",
	)
	fs.IntVar(
		&o.MaxNamespaceQueues, "max-queues-per-namespace", 16_384,
		"how many queues, the functions of a pool times its job servers, all pools of a namespace may have together; it bounds the memory and the time that a namespace costs",
	)
	fs.StringVar(&l.allowed, "allowed-job-servers", "",
		"job servers that pools may use: CIDRs and names (*.example.org, gearmand.$NAMESPACE.svc), separated by commas, each with :PORT or not, for all namespaces or as NAMESPACE=RULE; empty: all but loopback, link-local, metadata and reserved addresses and the API server",
	)
	fs.StringVar(&o.LogFormat, "log-format", "json", "json or text")
	fs.StringVar(&o.LogLevel, "log-level", "info", "debug, info, warn or error")
}

// check returns what is wrong with the options, an error for each flag.
func check(o *Options, l *literals) (errs []error) {
	oneOf := func(flag, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			errs = append(errs, fmt.Errorf("--%s must be one of %s, not %q", flag, strings.Join(allowed, ", "), value))
		}
	}
	within := func(flag string, n, least, most int) {
		if n < least || n > most {
			errs = append(errs, fmt.Errorf("--%s must be from %d to %d, not %d", flag, least, most, n))
		}
	}
	oneOf("runtime-image-pull-policy", l.pull, "", "Always", "IfNotPresent", "Never")
	oneOf("runtime-rollout", l.rollout, "OnTemplateChange", "Immediate")
	oneOf("log-format", o.LogFormat, "json", "text")
	oneOf("log-level", o.LogLevel, "debug", "info", "warn", "error")
	if o.RuntimeImage == "" {
		errs = append(
			errs, errors.New("--runtime-image (or the environment's RUNTIME_IMAGE) must name the operator's own image"),
		)
	}
	within("min-poll-seconds", l.minPoll, 1, 300)
	within("max-job-servers-per-pool", o.MaxPoolServers, 1, 10_000)
	within("max-job-servers-per-namespace", o.MaxNamespaceServers, 1, 10_000)
	within("max-queues-per-namespace", o.MaxNamespaceQueues, 1, 10_000_000)
	within("foreign-functions", o.ForeignFunctions, 0, 10_000)
	return errs
}

// runtime is the worker runtime of generated pods. The number of job servers is not passed to
// workers with the same default.
func (o *Options) runtime() workload.RuntimeImage {
	rt := workload.RuntimeImage{
		Image: o.RuntimeImage, PullPolicy: o.RuntimePullPolicy, PullSecrets: o.RuntimePullSecrets,
	}
	if o.MaxPoolServers != resolve.MaxServers {
		rt.MaxServers = o.MaxPoolServers
	}
	return rt
}

func commaList(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
