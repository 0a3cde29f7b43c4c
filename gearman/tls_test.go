package gearman

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// material returns a self-signed certificate as PEM.
func material(t *testing.T, name string) (pair tls.Certificate, cert, key []byte) {
	t.Helper()
	pair, _ = certificate(t, name)
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pair, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// put writes files, given by name, into a directory.
func put(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// shakeHands connects a client to a server and returns what each of them got.
func shakeHands(t *testing.T, client, server *tls.Config) (seen []*x509.Certificate, clientErr, serverErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer far.Close()
		conn := tls.Server(far, server)
		if serverErr = conn.HandshakeContext(t.Context()); serverErr == nil {
			seen = conn.ConnectionState().PeerCertificates
		}
	}()
	defer func() {
		near.Close()
		<-done
	}()
	conn := tls.Client(near, client)
	if clientErr = conn.HandshakeContext(t.Context()); clientErr == nil {
		// Without this read of what the server sends after its handshake, the handshake would not
		// end.
		_, _ = conn.Read(make([]byte, 1))
	}
	return seen, clientErr, serverErr
}

// TestPEMFilesAreReadAgain checks that each handshake reads the files again.
func TestPEMFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	first, firstCert, _ := material(t, "gearmand.example")
	second, secondCert, _ := material(t, "gearmand.example")
	_, cert, key := material(t, "worker.example")
	_, newCert, newKey := material(t, "worker.example")
	dir := t.TempDir()
	put(t, dir, map[string][]byte{"ca": firstCert, "crt": cert, "key": key})
	file := func(name string) string { return filepath.Join(dir, name) }
	client, err := PEMFiles{CA: file("ca"), Cert: file("crt"), Key: file("key")}.Config()
	if err != nil {
		t.Fatal(err)
	}
	client.ServerName = "gearmand.example"
	server := func(pair tls.Certificate) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert}
	}
	presents := func(want []byte, pair tls.Certificate) {
		t.Helper()
		seen, clientErr, serverErr := shakeHands(t, client, server(pair))
		block, _ := pem.Decode(want)
		if clientErr != nil || serverErr != nil || len(seen) != 1 || !bytes.Equal(seen[0].Raw, block.Bytes) {
			t.Errorf("%v, %v, the server saw %d certificates", clientErr, serverErr, len(seen))
		}
	}
	presents(cert, first)
	if _, err, _ := shakeHands(t, client, server(second)); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("an authority that is not in the file: %v", err)
	}
	put(t, dir, map[string][]byte{"ca": append(bytes.Clone(firstCert), secondCert...), "crt": newCert, "key": newKey})
	presents(newCert, second)
	client.ServerName = "other.example"
	if _, err, _ := shakeHands(t, client, server(second)); !errors.As(err, new(x509.HostnameError)) {
		t.Errorf("another name: %v", err)
	}
	client.ServerName = "gearmand.example"
	for name, content := range map[string][]byte{"ca": nil, "key": key} {
		put(t, dir, map[string][]byte{"ca": secondCert, "crt": newCert, "key": newKey})
		put(t, dir, map[string][]byte{name: content})
		if _, err, _ := shakeHands(t, client, server(second)); !errors.Is(err, ErrTLS) ||
			!strings.Contains(err.Error(), file(name)) {
			t.Errorf("%s can't be used: %v", name, err)
		}
	}
}

func TestPEMFilesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	_, cert, key := material(t, "gearmand.example")
	dir := t.TempDir()
	put(t, dir, map[string][]byte{"crt": cert, "key": key, "empty": nil, "text": []byte("x")})
	file := func(name string) string { return filepath.Join(dir, name) }
	tests := map[string]struct {
		files PEMFiles
		says  string
	}{
		"nothing":      {PEMFiles{}, ""},
		"all":          {PEMFiles{CA: file("crt"), Cert: file("crt"), Key: file("key")}, ""},
		"no CA":        {PEMFiles{CA: file("gone")}, file("gone")},
		"an empty CA":  {PEMFiles{CA: file("empty")}, file("empty") + " is empty"},
		"no PEM":       {PEMFiles{CA: file("text")}, "the CA holds no PEM certificate (" + file("text") + ")"},
		"no key":       {PEMFiles{Cert: file("crt")}, "go together"},
		"an empty key": {PEMFiles{Cert: file("crt"), Key: file("empty")}, file("empty") + " is empty"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, err := tt.files.Config()
			if tt.says == "" && (err != nil || config.MinVersion != tls.VersionTLS12) ||
				tt.says != "" && (!errors.Is(err, ErrTLS) || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("error = %v, want %q", err, tt.says)
			}
		})
	}
}
