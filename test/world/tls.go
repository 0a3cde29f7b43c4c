package world

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/test/kit"
	"github.com/gearman-operator/gearman-operator/test/world/kube"
)

const (
	// featureTLS is a world whose job servers speak TLS, with a CA of their own.
	featureTLS = "tls"
	// certificateExpires is the fault of a job server whose certificate has expired.
	certificateExpires = "certificate-expires"
	// caRotates is the fault of job servers that get certificates of a new CA at once. The pods see
	// the new Secret only when their kubelets have written it into the volumes.
	caRotates = "ca-rotates"

	caSecret = "job-servers-ca"
)

// addTLS makes one world in eight use TLS, and then adds TLS's own faults, from a source of its
// own.
func (p *Plan) addTLS() {
	g := generator{rand.New(rand.NewPCG(p.Seed, 0x7150))}
	if p.TLS = g.chance(0.13); !p.TLS {
		return
	}
	for i := range ofTLS {
		if g.chance(0.65) {
			p.Faults = append(p.Faults, g.faultOf(p, &ofTLS[i]))
		}
	}
}

// ofTLS is the table of the faults that only a world of TLS has.
var ofTLS []kind

func init() { // the table's functions find their own entries in it
	const s = time.Second
	ofTLS = []kind{
		{certificateExpires, ofServer, 20 * s, 120 * s, 150 * s, func(w *World, f Fault) func() {
			w.tls.issue(f.Server, time.Now().Add(-s))
			w.servers[f.Server].CloseConnections()
			return func() { w.tls.issue(f.Server, time.Time{}) }
		}},
		{caRotates, ofServer, 10 * s, 70 * s, 150 * s, func(w *World, _ Fault) func() {
			w.tls.rotate()
			w.kube.UserEdit(kube.KindSecret, caSecretKey, "kubectl", func(o client.Object) {
				o.(*corev1.Secret).Data = w.tls.secret()
			})
			for _, s := range w.servers {
				s.CloseConnections()
			}
			return w.tls.mount
		}},
	}
}

var caSecretKey = types.NamespacedName{Namespace: namespace, Name: caSecret}

// tlsMaterial is the certificates of a world's job servers, and what its pods trust.
type tlsMaterial struct {
	mu      sync.Mutex
	ca      *kit.CA
	servers []*tls.Certificate
	expires []time.Time // of each job server's certificate; zero: never
	dir     string      // stands for the volumes of all pods
}

func newTLSMaterial(servers int) *tlsMaterial {
	dir, err := os.MkdirTemp("", "world-tls-")
	if err != nil {
		mustMake{}.Fatal(err)
	}
	m := &tlsMaterial{dir: dir, servers: make([]*tls.Certificate, servers), expires: make([]time.Time, servers)}
	m.rotate()
	m.mount()
	return m
}

// mustMake lets test/kit report what can't be made, which does not occur here.
type mustMake struct{}

func (mustMake) Helper() {}

func (mustMake) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// rotate makes a new CA, and certificates of it for all job servers.
func (m *tlsMaterial) rotate() {
	m.mu.Lock()
	m.ca = kit.NewCA(mustMake{})
	expires := slices.Clone(m.expires)
	m.mu.Unlock()
	for i, at := range expires {
		m.issue(i, at)
	}
}

// issue gives a job server a certificate. If the time is zero, it does not expire.
func (m *tlsMaterial) issue(server int, expires time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expires[server] = expires
	if expires.IsZero() {
		expires = time.Now().Add(24 * time.Hour)
	}
	pair := m.ca.IssueUntil(mustMake{}, expires, serverName(server), serverIP(server).String()).TLS(mustMake{})
	m.servers[server] = &pair
}

// volume is the file with the CA that pods read.
func (m *tlsMaterial) volume() string { return filepath.Join(m.dir, "ca.crt") }

// mount writes the current CA into the pods' volumes, at once as a kubelet does.
func (m *tlsMaterial) mount() {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.volume() + ".new"
	if err := errors.Join(os.WriteFile(next, m.ca.PEM, 0o600), os.Rename(next, m.volume())); err != nil {
		mustMake{}.Fatal(err)
	}
}

// remove removes the volumes.
func (m *tlsMaterial) remove() {
	if m != nil {
		_ = os.RemoveAll(m.dir) // the next boot of the machine removes it too
	}
}

func (m *tlsMaterial) secret() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return map[string][]byte{"ca.crt": m.ca.PEM}
}

// config makes a job server use its current certificate at each handshake.
func (m *tlsMaterial) config(server int) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.servers[server], nil
		},
	}
}

// createSecret creates the Secret, as a user does before creating the pools.
func (w *World) createSecret() {
	if w.tls == nil {
		return
	}
	if err := w.kube.UserCreate(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: caSecret}, Data: w.tls.secret(),
	}); err != nil {
		w.fail("create the Secret of the CA: %v", err)
	}
}

// serverName returns the name of a job server.
func serverName(i int) string { return fmt.Sprintf("gearmand-%d.jobs", i) }
