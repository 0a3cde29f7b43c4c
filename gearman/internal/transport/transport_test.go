package transport

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
)

func TestMain(m *testing.M) { check.Main(m) }

func TestParseAddress(t *testing.T) {
	t.Parallel()
	tests := map[string]string{ // want, or "" for an error
		"gearmand":         "gearmand:4730",
		"gearmand:4731":    "gearmand:4731",
		"10.0.0.1":         "10.0.0.1:4730",
		"::1":              "[::1]:4730",
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
		host string
		r    resolver
		want []string
		bad  bool
	}{
		"address":        {host: "10.0.0.9", r: broken, want: []string{"10.0.0.9:1"}},
		"several":        {host: "h", r: addrs("10.0.0.2", "10.0.0.1", "10.0.0.2"), want: []string{"10.0.0.1:1", "10.0.0.2:1"}},
		"four in six":    {host: "h", r: addrs("::ffff:10.0.0.1", "10.0.0.1"), want: []string{"10.0.0.1:1"}},
		"both, four 1st": {host: "h", r: addrs("10.0.0.1", "fd00::1"), want: []string{"10.0.0.1:1"}},
		"both, six 1st":  {host: "h", r: addrs("fd00::1", "10.0.0.1"), want: []string{"[fd00::1]:1"}},
		"none":           {host: "h", r: addrs(), bad: true},
		"error":          {host: "h", r: broken, bad: true},
	}
	for name, tt := range tests {
		got, err := Resolve(t.Context(), tt.r, Address{Host: tt.host, Port: 1})
		if (err != nil) != tt.bad {
			t.Errorf("%s: %v", name, err)
		}
		var s []string
		for _, e := range got {
			s = append(s, e.Addr)
			if e.Name != tt.host {
				t.Errorf("%s: name %q", name, e.Name)
			}
		}
		if diff := check.Diff(tt.want, s); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]time.Duration{1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 5: 1600 * time.Millisecond, 100: 30 * time.Second} {
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

// Writes of many goroutines come out whole, in the order of each, and in fewer writes than there were.
func TestOutboxCoalesces(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	var got []byte
	var reader sync.WaitGroup
	reader.Go(func() { got, _ = io.ReadAll(far) })
	o := NewOutbox("192.0.2.1:4730", near, time.Minute)
	const writers, lines = 8, 200
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range lines {
				line := fmt.Sprintf("%d %d\n", w, i)
				var err error
				switch i % 20 {
				case 7:
					err = o.Stream(func(dst []byte) []byte { return append(dst, line[:2]...) }, strings.NewReader(line[2:]), int64(len(line)-2))
				case 13:
					err = o.StreamBytes(func(dst []byte) []byte { return append(dst, line[:2]...) }, []byte(line[2:]))
				default:
					err = o.Send(func(dst []byte) []byte { return append(dst, line...) })
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := o.Flush(); err != nil {
		t.Error(err)
	}
	_ = near.Close()
	reader.Wait()
	next := make([]int, writers)
	for line := range strings.Lines(string(got)) {
		var w, i int
		if _, err := fmt.Sscanf(line, "%d %d\n", &w, &i); err != nil || i != next[w] {
			t.Fatalf("line %q, want number %d of %d (%v)", line, next[w], w, err)
		}
		next[w]++
	}
	if slices.Min(next) != lines {
		t.Errorf("lines of each: %v, want %d", next, lines)
	}
}

func TestOutboxFailures(t *testing.T) {
	t.Parallel()
	add := func(dst []byte) []byte { return append(dst, "head "...) }
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe() // nobody reads
		o := NewOutbox("192.0.2.1:4730", near, time.Second)
		first := o.Send(add)
		if !errors.Is(first, os.ErrDeadlineExceeded) || !errors.Is(first, o.Err()) {
			t.Errorf("a peer that takes nothing: %v", first)
		}
		for name, err := range map[string]error{ // all that comes later is refused for the same reason
			"Send": first, "Stage": o.Stage(add), "Flush": o.Flush(),
			"Stream": o.Stream(add, strings.NewReader("x"), 1), "StreamBytes": o.StreamBytes(add, []byte("x")),
		} {
			if err == nil || err.Error() != first.Error() || !strings.HasPrefix(err.Error(), "job server 192.0.2.1:4730: write: ") {
				t.Errorf("%s: %v, want the server and the step", name, err)
			}
		}
		_ = far.Close()
	})
	for name, body := range map[string]io.Reader{
		"too short": strings.NewReader("abc"), "failing": iotest.ErrReader(errors.New("disk")),
	} {
		near, far := net.Pipe()
		var got bytes.Buffer
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(&got, far) })
		o := NewOutbox("192.0.2.1:4730", near, time.Minute)
		if err := o.Stream(add, body, 10); err == nil {
			t.Errorf("%s body: no error", name)
		}
		wg.Wait() // the connection was closed
		_ = far.Close()
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
	if _, err := d.Connect(t.Context(), Endpoint{Addr: l.Addr().String()}); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("nobody listens: %v", err)
	}
}

func certificate(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
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
