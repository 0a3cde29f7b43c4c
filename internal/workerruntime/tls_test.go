package workerruntime_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gearman "github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
)

// identity is a certificate that signs itself, in files and as the other side takes it.
type identity struct {
	cert, key string // files
	pair      tls.Certificate
	pool      *x509.CertPool
}

func newIdentity(t *testing.T, name string) (id identity) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	id.cert, id.key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for file, block := range map[string]*pem.Block{
		id.cert: {Type: "CERTIFICATE", Bytes: der}, id.key: {Type: "EC PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	id.pool = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	id.pool.AddCert(parsed)
	id.pair = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return id
}

// Certificates on both sides, from files, in the mode that waits for job servers by threads and in
// one that doesn't.
func TestTLS(t *testing.T) {
	t.Parallel()
	server, client := newIdentity(t, "gearmand.example"), newIdentity(t, "worker.example")
	s := gearmantest.NewServer(gearmantest.Options{TLS: &tls.Config{
		Certificates: []tls.Certificate{server.pair}, ClientCAs: client.pool,
		ClientAuth: tls.RequireAndVerifyClientCert,
	}})
	defer s.Close()
	trust := []string{"--server", s.Addr(), "--tls-ca", server.cert, "--tls-server-name", "gearmand.example"}
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

// Authorities that are renewed under a running worker count at its next connect.
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
	both(first.cert)
	w := startWorker(
		t, nil, "exec", "--server", s.Addr(), "--tls-ca", ca, "--tls-server-name", "gearmand.example", "--function",
		"f", "--", "cat",
	).waitReady()
	both(first.cert, second.cert)
	now.Store(&second.pair)
	s.CloseConnections()
	s.Submit("f", "", []byte("x"))
	eventually(t, "the job has run over a new connection", func() bool {
		return w.metric(`gearman_worker_jobs_total{function="f",result="completed",reason="ok"}`) == "1"
	})
	// An authority that is not in the file is not trusted.
	both(first.cert)
	s.CloseConnections()
	eventually(
		t, "the connection is refused", func() bool { return strings.Contains(w.log.String(), "unknown authority") },
	)
	both()
	eventually(
		t, "an empty file is named", func() bool { return strings.Contains(w.log.String(), "ca.crt is empty") },
	)
}
