package gearman

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// ErrTLS is a certificate or key that can't be used.
var ErrTLS = errors.New("invalid TLS material")

// PEM is what a TLS connection is made of, as the contents of files. Fields may be empty.
type PEM struct {
	CA   []byte // certificates of the authorities that are trusted; empty: those of the system
	Cert []byte // the client's own certificate, with what leads to its authority; together with Key
	Key  []byte
}

// Config makes a configuration of TLS 1.2 or later. The error, an ErrTLS, says which part is wrong.
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
