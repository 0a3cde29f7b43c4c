package controllers

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/policy"
)

// invalidTLSError says what the user has to change in a pool's tls or its Secrets.
type invalidTLSError struct{ message string }

func (e invalidTLSError) Error() string { return e.message }

// readTLS builds the TLS configuration of a pool from its Secrets, which are read on each call. The
// identity differs wherever a connection must not be shared: it has the namespace and a digest of
// all inputs, with the UID and the version of each Secret. Another pool that has the same
// certificate but not the key cannot share the connection.
func readTLS(ctx context.Context, live client.Reader, pool *v1alpha1.GearmanWorkerPool) (*tls.Config, string, error) {
	t := pool.Spec.TLS
	if t == nil {
		return nil, "", nil
	}
	sum := identity{sha256.New()}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	sum.add("serverName", t.ServerName)
	if ca := t.CASecret; ca != nil {
		secret, err := readSecret(ctx, live, pool.Namespace, ca.Name)
		if err != nil {
			return nil, "", err
		}
		pem, ok := secret.Data[policy.CAKey(ca)]
		if !ok {
			return nil, "", invalidTLSError{
				fmt.Sprintf("tls.caSecret: Secret %s has no key %s", ca.Name, policy.CAKey(ca)),
			}
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, "", invalidTLSError{
				fmt.Sprintf("tls.caSecret: key %s of Secret %s holds no PEM certificate", policy.CAKey(ca), ca.Name),
			}
		}
		sum.add("ca", string(secret.UID), secret.ResourceVersion, string(pem))
	}
	if name := t.ClientCertificateSecret; name != "" {
		secret, err := readSecret(ctx, live, pool.Namespace, name)
		if err != nil {
			return nil, "", err
		}
		pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
		if err != nil {
			return nil, "", invalidTLSError{
				fmt.Sprintf(
					"tls.clientCertificateSecret: tls.crt and tls.key of Secret %s are not a certificate and its key: %v",
					name, err,
				),
			}
		}
		cfg.Certificates = []tls.Certificate{pair}
		sum.add("clientCertificate", string(secret.UID), secret.ResourceVersion, string(secret.Data[corev1.TLSCertKey]))
	}
	return cfg, pool.Namespace + "/" + hex.EncodeToString(sum.Sum(nil)[:10]), nil
}

// identity hashes the inputs of a TLS identity. Each part has a tag and the number of its values,
// and each value its length, so that no two different identities have the same bytes.
type identity struct{ hash.Hash }

func (h identity) add(tag string, values ...string) {
	var number [8]byte
	write := func(n int, s string) {
		binary.BigEndian.PutUint64(number[:], uint64(n))
		// Writing to a hash never fails.
		_, _ = h.Write(number[:])
		_, _ = h.Write([]byte(s))
	}
	write(len(values), "")
	write(len(tag), tag)
	for _, v := range values {
		write(len(v), v)
	}
}

// errSecretsNotReadable means that the operator has no permission to read Secrets.
var errSecretsNotReadable = errors.New(
	"the operator may not read Secrets in this namespace: set rbac.readSecrets=true in the values of its chart, or remove tls",
)

func readSecret(ctx context.Context, live client.Reader, namespace, name string) (*corev1.Secret, error) {
	var s corev1.Secret
	err := live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &s)
	if apierrors.IsNotFound(err) {
		return nil, invalidTLSError{
			fmt.Sprintf("there is no Secret %s in namespace %s: create it, or correct tls", name, namespace),
		}
	}
	if apierrors.IsForbidden(err) {
		return nil, errSecretsNotReadable
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %s/%s: %w", namespace, name, err)
	}
	return &s, nil
}
