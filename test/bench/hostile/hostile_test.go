package hostile

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/test/bench/operator"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

const (
	victim     = "victim"
	hostileNS  = 4 // namespaces of the hostile pools: hostile tenants
	perPool    = 64
	literals   = 4 // addresses at which each hostile job server is named
	caSecret   = "ca"
	scrapeEach = 2 * time.Second
)

// size is the size of a run.
type size struct {
	full    bool
	pools   int // hostile
	wakes   int // of the victim, without and with hostile tenants
	settle  time.Duration
	measure time.Duration // at least
}

func sizeFromEnv() size {
	if os.Getenv("BENCH_HOSTILE") == "" {
		return size{pools: 3, wakes: 2, settle: time.Second, measure: 3 * time.Second}
	}
	return size{full: true, pools: 64, wakes: 100, settle: 15 * time.Second, measure: 2 * time.Minute}
}

// bench is a run.
type bench struct {
	size
	k8s       client.WithWatch
	operator  *manager
	victim    *jobserver.Server
	hostile   *hostileServers
	names     *nameserver // nil: no pool has names
	functions []string    // of the hostile pools, perPool each
	wakes     *wakes
}

// TestHostile is `make bench-hostile`.
func TestHostile(t *testing.T) {
	b := &bench{size: sizeFromEnv()}
	b.start(t)
	b.createVictims(t)
	without := b.phase(t, 0)
	b.createHostile(t)
	with := b.phase(t, 1)
	b.report(t, without, with)
}

// start starts everything except the pools.
func (b *bench) start(t *testing.T) {
	t.Helper()
	plane, k8s := operator.ControlPlane(t, nil)
	b.k8s = k8s
	for _, ns := range append([]string{operator.Namespace, victim}, hostileNamespaces()...) {
		b.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
	}
	for i := range b.pools * perPool {
		b.functions = append(b.functions, fmt.Sprintf("function-%05d-%s", i, strings.Repeat("x", 48)))
	}
	b.victim = jobserver.Gearmand(t)
	b.hostile = startServers(t, behaviors(b.functions))
	nameserver := ""
	if canHideResolvConf(t) {
		if b.names = startNameserver(t); b.names != nil {
			nameserver = b.names.addr
		}
	}
	b.wakes = watchWakes(t, b.k8s)
	b.operator = startManager(t, plane.Kubeconfig, nameserver, b.flags()...)
}

// flags returns the operator's flags beyond those of every run. A short run has none, since it must
// pass on slow machines too, on which the lease could be lost.
func (b *bench) flags() []string {
	if !b.full {
		return nil
	}
	return operator.Elected
}

func (b *bench) create(t *testing.T, o client.Object) {
	t.Helper()
	if err := b.k8s.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func hostileNamespaces() (out []string) {
	for i := range hostileNS {
		out = append(out, fmt.Sprintf("hostile-%d", i))
	}
	return out
}

func victimName(phase, i int) string { return fmt.Sprintf("victim-%d-%03d", phase, i) }

// createVictims creates the victim's pools, each of which is woken once, and waits until all are
// watched.
func (b *bench) createVictims(t *testing.T) {
	t.Helper()
	for phase := range 2 {
		for i := range b.size.wakes {
			name := victimName(phase, i)
			b.create(t, &v1alpha1.GearmanWorkerPool{
				ObjectMeta: metav1.ObjectMeta{Namespace: victim, Name: name},
				Spec: v1alpha1.GearmanWorkerPoolSpec{
					Servers:  []v1alpha1.ServerAddress{v1alpha1.ServerAddress(b.victim.Addr)},
					Function: v1alpha1.FunctionName(name), Image: "worker:1", MaxReplicas: 10,
				},
			})
		}
	}
	operator.Eventually(
		t, waitLimit, "the victim's pools to be decided on",
		func() error { return b.decided(t.Context(), victim, 2*b.size.wakes) },
	)
}

// decided returns an error until this many pools of a namespace have a decision in their status.
func (b *bench) decided(ctx context.Context, namespace string, want int) error {
	var pools v1alpha1.GearmanWorkerPoolList
	if err := b.k8s.List(ctx, &pools, client.InNamespace(namespace)); err != nil {
		return err
	}
	n := 0
	for i := range pools.Items {
		if pools.Items[i].Status.Decision.Reason != "" {
			n++
		}
	}
	if n < want {
		return fmt.Errorf("%d of %d pools in %s", n, want, namespace)
	}
	return nil
}

// createHostile creates the hostile pools, and waits until the operator has processed each.
func (b *bench) createHostile(t *testing.T) {
	t.Helper()
	ca := kit.NewCA(t)
	for _, ns := range hostileNamespaces() {
		b.create(
			t,
			&corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: caSecret}, Data: map[string][]byte{"ca.crt": ca.PEM},
			},
		)
	}
	count := make(map[string]int)
	for i := range b.pools {
		p := b.hostilePool(i)
		count[p.Namespace]++
		b.create(t, p)
	}
	for ns, n := range count {
		operator.Eventually(
			t, waitLimit, "the hostile pools to be decided on", func() error { return b.decided(t.Context(), ns, n) },
		)
	}
}

// hostilePool returns a pool that names as many job servers and functions as it may: each hostile
// job server at some addresses, and names with many addresses. One pool of a namespace uses TLS.
func (b *bench) hostilePool(i int) *v1alpha1.GearmanWorkerPool {
	p := &v1alpha1.GearmanWorkerPool{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: hostileNamespaces()[i%hostileNS], Name: fmt.Sprintf("hostile-%02d", i),
		},
		Spec: v1alpha1.GearmanWorkerPoolSpec{Image: "worker:1", MaxReplicas: 2},
	}
	for _, f := range b.functions[i*perPool : (i+1)*perPool] {
		p.Spec.Functions = append(p.Spec.Functions, v1alpha1.FunctionName(f))
	}
	if i >= hostileNS && i < 2*hostileNS || b.pools <= hostileNS && i == 1 {
		p.Spec.TLS = &v1alpha1.TLSSpec{CASecret: &v1alpha1.SecretKey{Name: caSecret, Key: "ca.crt"}}
	}
	var many []string
	for j, kind := range behaviors(b.functions[:1]) {
		p.Spec.Servers = append(
			p.Spec.Servers, v1alpha1.ServerAddress(fmt.Sprintf("127.0.1.%d:%s", i%literals+1, b.hostile.ports[j])),
		)
		if kind.many {
			many = append(many, b.hostile.ports[j])
		}
	}
	for j := 0; b.names != nil && len(p.Spec.Servers) < perPool; j++ {
		p.Spec.Servers = append(
			p.Spec.Servers,
			v1alpha1.ServerAddress(fmt.Sprintf("name-%d.pool-%d.example.test:%s", j, i, many[j%len(many)])),
		)
	}
	return p
}

// submit adds a job to the victim's queue.
func (b *bench) submit(ctx context.Context, function string) error {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", b.victim.Addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	conn := proto.NewConn(nc, proto.Limits{})
	if _, err := conn.Write(proto.AppendSubmit(nil, proto.TypeSubmitJobBG, function, "", "x")); err != nil {
		return err
	}
	if p, err := conn.Next(); err != nil || p.Type != proto.TypeJobCreated {
		return fmt.Errorf("submit: %v %w", p.Type, err)
	}
	return nil
}

// waitLimit is how long the operator may take to decide on all pools of a namespace.
const waitLimit = 5 * time.Minute

// wakes are the times at which the victim's Deployments got their first replica.
type wakes struct {
	mu   sync.Mutex
	at   map[string]time.Time
	more chan struct{} // closed with the next one
}
