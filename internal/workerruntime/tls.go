package workerruntime

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
)

// tlsConfig is the TLS configuration for the job servers, nil without TLS. All its files are read
// at the start, so that a mistake shows at once, and again at each connect: certificates and
// authorities are renewed under a running worker.
func tlsConfig(o *options.Options) (*tls.Config, error) {
	if !o.TLS {
		return nil, nil
	}
	c := &tls.Config{ServerName: o.TLSServerName, MinVersion: tls.VersionTLS12}
	if o.TLSCA != "" {
		if _, err := authorities(o.TLSCA); err != nil {
			return nil, err
		}
		c.InsecureSkipVerify = true // VerifyConnection does it, by the authorities of the moment
		c.VerifyConnection = func(state tls.ConnectionState) error { return verify(o.TLSCA, state) }
	}
	if o.TLSCert != "" {
		if _, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey); err != nil {
			return nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey)
			return &pair, err
		}
	}
	return c, nil
}

func authorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--tls-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--tls-ca: %s holds no certificate in PEM", file)
	}
	return pool, nil
}

// verify checks a job server's certificate as crypto/tls does.
func verify(caFile string, state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the job server has no certificate")
	}
	roots, err := authorities(caFile)
	if err != nil {
		return err
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err = state.PeerCertificates[0].Verify(
		x509.VerifyOptions{DNSName: state.ServerName, Roots: roots, Intermediates: between},
	)
	return err
}
