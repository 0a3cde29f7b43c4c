package gearman

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
)

func TestMain(m *testing.M) { check.Main(m) }

func TestParseAddress(t *testing.T) {
	t.Parallel()
	tests := map[string]string{ // the wanted result, or "" for an error
		"gearmand":         "gearmand:4730",
		"gearmand:4731":    "gearmand:4731",
		"10.0.0.1":         "10.0.0.1:4730",
		"::1":              "[::1]:4730",
		"::ffff:10.0.0.1":  "10.0.0.1:4730",
		"[::1]":            "[::1]:4730",
		"[::1]:99":         "[::1]:99",
		"":                 "",
		":4730":            "",
		"a b":              "",
		"tcp://h:1":        "",
		"h:":               "",
		"h:0":              "",
		"h:65536":          "",
		"h:x":              "",
		"a:b:c":            "",
		"gearmand.jobs\n":  "",
		"[::1]:4730:4730":  "",
		"gearmand.jobs.":   "gearmand.jobs.:4730",
		"fe80::1%eth0":     "[fe80::1%eth0]:4730",
		"[fe80::1%eth0]:1": "[fe80::1%eth0]:1",
	}
	for in, want := range tests {
		a, err := ParseAddress(in)
		if errors.Is(err, ErrAddress) != (want == "") {
			t.Errorf("%q: %v", in, err)
		}
		if err == nil && a.String() != want {
			t.Errorf("%q: %s, want %s", in, a, want)
		}
	}
}

type resolver func(host string) ([]netip.Addr, error)

func (r resolver) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	return r(host)
}

func TestResolve(t *testing.T) {
	t.Parallel()
	addrs := func(s ...string) resolver {
		return func(string) ([]netip.Addr, error) {
			var out []netip.Addr
			for _, a := range s {
				out = append(out, netip.MustParseAddr(a))
			}
			return out, nil
		}
	}
	broken := resolver(func(string) ([]netip.Addr, error) { return nil, errors.New("no such host") })
	tests := map[string]struct {
		host        string
		r           resolver
		want, other []string
		bad         bool
	}{
		"address": {host: "10.0.0.9", r: broken, want: []string{"10.0.0.9:1"}},
		"several": {
			host: "h", r: addrs("10.0.0.2", "10.0.0.1", "10.0.0.2"), want: []string{"10.0.0.1:1", "10.0.0.2:1"},
		},
		"four in six": {host: "h", r: addrs("::ffff:10.0.0.1", "10.0.0.1"), want: []string{"10.0.0.1:1"}},
		"both, four 1st": {
			host: "h", r: addrs("10.0.0.1", "fd00::1"), want: []string{"10.0.0.1:1"}, other: []string{"[fd00::1]:1"},
		},
		"both, six 1st": {
			host: "h", r: addrs("fd00::1", "10.0.0.1"), want: []string{"10.0.0.1:1"}, other: []string{"[fd00::1]:1"},
		},
		"more of six": {
			host: "h", r: addrs("10.0.0.1", "fd00::2", "fd00::1"),
			want: []string{"[fd00::1]:1", "[fd00::2]:1"}, other: []string{"10.0.0.1:1"},
		},
		"none":  {host: "h", r: addrs(), bad: true},
		"error": {host: "h", r: broken, bad: true},
	}
	for name, tt := range tests {
		got, err := Resolve(t.Context(), tt.r, Address{Host: tt.host, Port: 1})
		if (err != nil) != tt.bad {
			t.Errorf("%s: %v", name, err)
		}
		list := func(endpoints []Endpoint) (s []string) {
			for _, e := range endpoints {
				s = append(s, e.Addr)
				if e.Name != tt.host {
					t.Errorf("%s: name %q", name, e.Name)
				}
			}
			return s
		}
		if diff := check.Diff([][]string{tt.want, tt.other}, [][]string{list(got.First), list(got.Other)}); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]time.Duration{
		1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 5: 1600 * time.Millisecond, 100: 30 * time.Second,
	} {
		for range 100 {
			if d := (Backoff{}).Delay(failures); d > want || d < want/2 {
				t.Errorf("after %d failures: %v, want %v to %v", failures, d, want/2, want)
			}
		}
	}
	if d := (Backoff{Min: time.Hour}).Delay(1); d < time.Hour/2 {
		t.Errorf("a minimum above the default maximum: %v", d)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, pool := certificate(t, "gearmand.example")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(nc, nc) // an echo, until the client closes
			_ = nc.Close()
		}
	})
	d := Dialer{TLS: &tls.Config{RootCAs: pool}}
	nc, err := d.Connect(t.Context(), Endpoint{Addr: l.Addr().String(), Name: "gearmand.example"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(nc, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	_ = nc.Close()
	_, err = d.Connect(t.Context(), Endpoint{Addr: l.Addr().String(), Name: "other.example"})
	if err == nil || !strings.Contains(err.Error(), "TLS handshake with job server "+l.Addr().String()) {
		t.Errorf("another name: %v", err)
	}
	_ = l.Close()
	wg.Wait()
	if _, err := d.Connect(t.Context(), Endpoint{Addr: l.Addr().String()}); err == nil ||
		!strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestPEM(t *testing.T) {
	t.Parallel()
	cert, _ := certificate(t, "gearmand.example")
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	tests := map[string]struct {
		pem  PEM
		says string // expected in the error
	}{
		"nothing":           {},
		"all":               {pem: PEM{CA: certPEM, Cert: certPEM, Key: keyPEM}},
		"no certificate":    {pem: PEM{CA: []byte("x")}, says: "CA"},
		"no key":            {pem: PEM{Cert: certPEM}, says: "together"},
		"no own":            {pem: PEM{Key: keyPEM}, says: "together"},
		"not the other way": {pem: PEM{Cert: keyPEM, Key: certPEM}, says: "certificate and key"},
	}
	for name, tt := range tests {
		config, err := tt.pem.Config()
		if tt.says != "" {
			if !errors.Is(err, ErrTLS) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v, want ErrTLS about %q", name, err, tt.says)
			}
			continue
		}
		if err != nil || config.MinVersion != tls.VersionTLS12 || (config.RootCAs != nil) != (tt.pem.CA != nil) ||
			(len(config.Certificates) == 1) != (tt.pem.Cert != nil) {
			t.Errorf("%s: %+v, %v", name, config, err)
		}
	}
}

func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		begin := time.Now()
		if err := Sleep(ctx, time.Hour); err != nil || time.Since(begin) != time.Hour {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		time.AfterFunc(time.Minute, func() { cancel(why) })
		if err := Sleep(ctx, time.Hour); !errors.Is(err, why) || time.Since(begin) != time.Hour+time.Minute {
			t.Errorf("%v after %v, want the reason at once", err, time.Since(begin))
		}
		if err := Sleep(ctx, 0); !errors.Is(err, why) {
			t.Errorf("when it has ended: %v", err)
		}
	})
}

func certificate(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true,
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
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
