package workerruntime_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	gearman "github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

// identity is a certificate with its authority, in files and in the form that the other side uses.
type identity struct {
	ca, cert, key string // files
	pair          tls.Certificate
	pool          *x509.CertPool
}

func newIdentity(t *testing.T, name string) (id identity) {
	t.Helper()
	ca := kit.NewCA(t)
	pair, dir := ca.Issue(t, name), t.TempDir()
	id.ca, id.cert, id.key = filepath.Join(dir, "ca.crt"), filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for file, content := range map[string][]byte{id.ca: ca.PEM, id.cert: pair.Cert, id.key: pair.Key} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	id.pair, id.pool = pair.TLS(t), ca.Pool()
	return id
}

// TestTLS: certificates on both sides, from files, in a mode that waits for job servers on threads
// and in one that doesn't.
func TestTLS(t *testing.T) {
	t.Parallel()
	server, client := newIdentity(t, "gearmand.example"), newIdentity(t, "worker.example")
	s := gearmantest.NewServer(gearmantest.Options{TLS: &tls.Config{
		Certificates: []tls.Certificate{server.pair}, ClientCAs: client.pool,
		ClientAuth: tls.RequireAndVerifyClientCert,
	}})
	defer s.Close()
	trust := []string{"--server", s.Addr(), "--tls-ca", server.ca, "--tls-server-name", "gearmand.example"}
	identified := append([]string{"--tls-cert", client.cert, "--tls-key", client.key}, trust...)
	startWorker(
		t, nil, append(append([]string{"exec"}, identified...), "--function", "exec", "--", "cat")...,
	).waitReady()
	startWorker(
		t, nil,
		append(
			append([]string{"stream"}, identified...), "--function", "stream", "--", "perl",
			"../../examples/perl/reverse.pl",
		)...,
	).waitReady()
	c, err := gearman.New(gearman.Options{
		Servers: []string{s.Addr()},
		TLS: &tls.Config{
			RootCAs: server.pool, ServerName: "gearmand.example", Certificates: []tls.Certificate{client.pair},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	large := strings.Repeat("x", 3<<20)
	for _, function := range []string{"exec", "stream"} {
		if result, err := c.Do(
			t.Context(), &gearman.Task{Function: function, Payload: []byte(large)},
		); err != nil || string(result) != large {
			t.Errorf("%s: %d bytes, %v", function, len(result), err)
		}
	}
	for name, args := range map[string][]string{
		"no certificate of ours": trust,
		"another name": append(
			identified[:len(identified):len(identified)], "--tls-server-name", "other.example",
		),
	} {
		w := startWorker(
			t, nil, append(append([]string{"exec", "--check"}, args...), "--function", "f", "--", "cat")...,
		)
		if code := w.exit(); code != 1 || !strings.Contains(w.log.String(), "FAILED  job server "+s.Addr()) {
			t.Errorf("%s: exit code %d\n%s", name, code, w.log.String())
		}
	}
}

// TestTLSAuthoritiesAreReadAgain: authorities renewed while a worker runs apply from its next
// connection.
func TestTLSAuthoritiesAreReadAgain(t *testing.T) {
	t.Parallel()
	first, second := newIdentity(t, "gearmand.example"), newIdentity(t, "gearmand.example")
	var now atomic.Pointer[tls.Certificate]
	now.Store(&first.pair)
	s := gearmantest.NewServer(gearmantest.Options{TLS: &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return now.Load(), nil },
	}})
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	both := func(files ...string) {
		var all []byte
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
		placed(t, ca, string(all))
	}
	both(first.ca)
	w := startWorker(
		t, nil, "exec", "--server", s.Addr(), "--tls-ca", ca, "--tls-server-name", "gearmand.example", "--function",
		"f", "--", "cat",
	).waitReady()
	both(first.ca, second.ca)
	now.Store(&second.pair)
	s.CloseConnections()
	s.Submit("f", "", []byte("x"))
	kit.Eventually(t, "the job has run over a new connection", func() bool {
		return w.metric(`gearman_worker_jobs_total{function="f",result="completed",reason="ok"}`) == "1"
	})
	// An authority that is not in the file is not trusted.
	both(first.ca)
	s.CloseConnections()
	kit.Eventually(
		t, "the connection is refused", func() bool { return strings.Contains(w.log.String(), "unknown authority") },
	)
	both()
	kit.Eventually(
		t, "an empty file is named", func() bool { return strings.Contains(w.log.String(), "ca.crt is empty") },
	)
}
