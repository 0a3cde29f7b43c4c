package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// TestTLSEverywhere checks TLS with certificates on both sides for client, worker and admin
// connection. A connection without a certificate is refused with an error that names the job
// server.
func TestTLSEverywhere(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"gearmand.example"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	pair := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	s := gearmantest.NewServer(
		gearmantest.Options{
			TLS: &tls.Config{Certificates: pair, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert},
		},
	)
	defer s.Close()
	conf := &tls.Config{RootCAs: pool, Certificates: pair, ServerName: "gearmand.example"}

	w, err := worker.New(worker.Options{Servers: []string{s.Addr()}, TLS: conf})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Handle(worker.Function{Name: "echo", Handler: handlers["echo"]}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- w.Run(context.WithoutCancel(t.Context())) }() // joined below
	c := newClient(t, client.Options{Servers: []string{s.Addr()}, TLS: conf})
	for _, payload := range []string{"x", strings.Repeat("x", 1<<20)} {
		if got, err := c.Do(
			within(t), &client.Task{Function: "echo", Payload: []byte(payload)},
		); err != nil || string(got) != payload {
			t.Errorf("%d bytes back, %v", len(got), err)
		}
	}
	a, err := admin.Dial(within(t), s.Addr(), admin.Options{TLS: conf})
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := a.Status(within(t)); err != nil || len(rows) != 1 {
		t.Errorf("%v, %v", rows, err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := w.Stop(within(t)); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	plain := newClient(
		t, client.Options{Servers: []string{s.Addr()}, TLS: &tls.Config{RootCAs: pool, ServerName: "gearmand.example"}},
	)
	if _, err := plain.Background(
		within(t), &client.Task{Function: "echo"},
	); err == nil || !strings.Contains(err.Error(), s.Addr()) {
		t.Errorf("without a client certificate: %v", err)
	}
}
