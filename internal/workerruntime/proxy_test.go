package workerruntime_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/test/kit"
	"github.com/gearman-operator/gearman-operator/test/tlsproxy"
)

// TestClientCertificates: with the job server of examples/gearmand-tls.yaml, our client and the
// runtime work through the proxy, and a client without a certificate of its CA is refused.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	proxy := tlsproxy.Start(t, "../../examples")
	caFile, ca := proxy.File(t, "ca.crt")
	certFile, cert := proxy.File(t, "client.crt")
	keyFile, key := proxy.File(t, "client.key")
	stranger := kit.NewCA(t).Issue(t, "stranger")

	trust := []string{
		"--server", proxy.Addr, "--tls-ca", caFile, "--tls-server-name", tlsproxy.ServerName, "--function", "f",
	}
	startWorker(
		t, nil,
		append(append([]string{"exec", "--tls-cert", certFile, "--tls-key", keyFile}, trust...), "--", "rev")...,
	).waitReady()
	c, err := client.New(
		client.Options{Servers: []string{proxy.Addr}, TLS: clientTLS(t, gearman.PEM{CA: ca, Cert: cert, Key: key})},
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if result, err := c.Do(t.Context(), &client.Task{Function: "f", Payload: []byte("hello")}); err != nil ||
		strings.TrimSpace(string(result)) != "olleh" {
		t.Errorf("%q, %v", result, err)
	}

	strangerCert, strangerKey := filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
	for path, text := range map[string][]byte{strangerCert: stranger.Cert, strangerKey: stranger.Key} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		pem     gearman.PEM
		options []string
	}{
		"no certificate": {gearman.PEM{CA: ca}, nil},
		"of another CA": {
			gearman.PEM{CA: ca, Cert: stranger.Cert, Key: stranger.Key},
			[]string{"--tls-cert", strangerCert, "--tls-key", strangerKey},
		},
		"of its CA": {gearman.PEM{CA: ca, Cert: cert, Key: key}, nil}, // this one must work, by the same steps
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			version, err := versionOf(t, proxy.Addr, clientTLS(t, tt.pem))
			if refused := string(tt.pem.Cert) != string(cert); refused != (err != nil) || refused == (version != "") {
				t.Errorf("version %q, %v", version, err)
			}
			if string(tt.pem.Cert) == string(cert) {
				return
			}
			args := append(append([]string{"exec", "--check"}, tt.options...), trust...)
			w := startWorker(t, nil, append(args, "--", "rev")...)
			if code := w.exit(); code != 1 || !strings.Contains(w.log.String(), "FAILED  job server "+proxy.Addr) {
				t.Errorf("exit code %d\n%s", code, w.log.String())
			}
		})
	}
}

func clientTLS(t *testing.T, pem gearman.PEM) *tls.Config {
	t.Helper()
	config, err := pem.Config()
	if err != nil {
		t.Fatal(err)
	}
	config.ServerName = tlsproxy.ServerName
	return config
}

// versionOf requests a job server's version.
func versionOf(t *testing.T, addr string, config *tls.Config) (string, error) {
	t.Helper()
	conn, err := admin.Dial(t.Context(), addr, admin.Options{TLS: config})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	v, err := conn.Version(t.Context())
	return v.Text, err
}
