package workerruntime

import (
	"crypto/tls"
	"fmt"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
)

// tlsConfig is the TLS configuration for the job servers, nil without TLS.
func tlsConfig(o *options.Options) (*tls.Config, error) {
	if !o.TLS {
		return nil, nil
	}
	c, err := gearman.PEMFiles{CA: o.TLSCA, Cert: o.TLSCert, Key: o.TLSKey}.Config()
	if err != nil {
		return nil, fmt.Errorf("--tls-ca, --tls-cert, --tls-key: %w", err)
	}
	c.ServerName = o.TLSServerName
	return c, nil
}
