package backlog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"
)

// tlsFor is how long a TLS configuration is used for new connections, or an error returned instead,
// before the Secrets are read again.
const tlsFor = 5 * time.Second

// tlsSource reads the TLS configuration that the job servers of some pools share.
type tlsSource struct {
	lane lane // for one: others wait for its result

	mu     sync.Mutex
	setup  *TLS
	config *tls.Config
	err    error
	at     time.Time
}

func newTLSSource(setup *TLS) *tlsSource { return &tlsSource{lane: make(lane, 1), setup: setup} }

// use sets how to read the configuration from now on.
func (t *tlsSource) use(setup *TLS) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.setup = setup
}

func (t *tlsSource) get(ctx context.Context) (*tls.Config, error) {
	if !t.lane.enter(ctx) {
		return nil, ctx.Err()
	}
	defer t.lane.leave()
	t.mu.Lock()
	setup, config, err, at := t.setup, t.config, t.err, t.at
	t.mu.Unlock()
	if !at.IsZero() && time.Since(at) < tlsFor {
		return config, err
	}
	config, err = setup.Config(ctx)
	if ctx.Err() != nil {
		return config, err // the caller's own deadline
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.config, t.err, t.at = config, err, time.Now()
	return config, err
}

// tlsCause returns why a handshake failed, without texts of the peer's certificates and alerts.
func tlsCause(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate is signed by an authority that the pool doesn't trust"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate is for another name"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired {
			return "the certificate has expired or is not valid yet"
		}
		return "the certificate is not valid"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the job server doesn't speak TLS"
	}
	if e, ok := errors.AsType[tls.AlertError](err); ok {
		return fmt.Sprintf("the job server refused the handshake with alert %d", uint8(e))
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the certificate can't be verified"
	}
	return "the handshake broke off"
}
