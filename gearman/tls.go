package gearman

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// ErrTLS is returned for a certificate or key that can't be used.
var ErrTLS = errors.New("invalid TLS material")

// PEM holds the certificates and the key for TLS connections, as the contents of files. Fields may
// be empty.
type PEM struct {
	CA   []byte // certificates of the trusted authorities; empty: the system's authorities
	Cert []byte // the client's own certificate and its intermediate certificates; requires Key
	Key  []byte
}

// Config returns a configuration for TLS 1.2 or later. Its error, an ErrTLS, names the part that is
// wrong.
func (p PEM) Config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(p.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(p.CA) {
			return nil, fmt.Errorf("%w: the CA holds no PEM certificate", ErrTLS)
		}
	}
	if (len(p.Cert) == 0) != (len(p.Key) == 0) {
		return nil, fmt.Errorf("%w: a certificate and its key go together", ErrTLS)
	}
	if len(p.Cert) > 0 {
		pair, err := tls.X509KeyPair(p.Cert, p.Key)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate and key: %w", ErrTLS, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// PEMFiles holds the certificates and the key for TLS connections, as names of files. Names may be
// empty.
type PEMFiles struct{ CA, Cert, Key string }

// Config returns a configuration that reads the files now, so that a mistake shows at once, and
// again at each handshake, since certificates and authorities are renewed while the process runs.
func (f PEMFiles) Config() (*tls.Config, error) {
	config, err := f.read()
	if err != nil {
		return nil, err
	}
	if f.CA != "" {
		config.RootCAs = nil
		config.InsecureSkipVerify = true // VerifyConnection does it, with the authorities in the file now
		config.VerifyConnection = f.verify
	}
	if f.Cert != "" {
		config.Certificates = nil
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			now, err := PEMFiles{Cert: f.Cert, Key: f.Key}.read()
			if err != nil {
				return nil, err
			}
			return &now.Certificates[0], nil
		}
	}
	return config, nil
}

// read returns a configuration made from the files as they are now.
func (f PEMFiles) read() (*tls.Config, error) {
	var pem PEM
	var names []string
	for _, file := range []struct {
		name    string
		content *[]byte
	}{{f.CA, &pem.CA}, {f.Cert, &pem.Cert}, {f.Key, &pem.Key}} {
		if file.name == "" {
			continue
		}
		content, err := os.ReadFile(file.name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTLS, err)
		}
		if len(content) == 0 {
			return nil, fmt.Errorf("%w: %s is empty", ErrTLS, file.name)
		}
		names = append(names, file.name)
		*file.content = content
	}
	config, err := pem.Config()
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, strings.Join(names, ", "))
	}
	return config, nil
}

// verify checks a server's certificate as crypto/tls does.
func (f PEMFiles) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the job server has no certificate")
	}
	now, err := PEMFiles{CA: f.CA}.read()
	if err != nil {
		return err
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err = state.PeerCertificates[0].Verify(
		x509.VerifyOptions{DNSName: state.ServerName, Roots: now.RootCAs, Intermediates: between},
	)
	return err
}
