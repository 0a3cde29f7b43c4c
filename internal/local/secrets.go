package local

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/policy"
)

// secrets replaces a cluster's Secrets and ConfigMaps: the key K of the object N is the file N/K.
type secrets struct{ dir string }

var errNoSecrets = errors.New(
	"it needs Secrets or ConfigMaps, which a machine doesn't have: put each key into a file DIR/OBJECT/KEY and use --secrets-dir DIR",
)

func (s secrets) path(object, key string) (string, error) {
	if s.dir == "" {
		return "", errNoSecrets
	}
	if !filepath.IsLocal(object) || !filepath.IsLocal(key) {
		return "", fmt.Errorf("%s/%s can't be a file's name", object, key)
	}
	return filepath.Join(s.dir, object, key), nil
}

func (s secrets) read(object, key string, optional *bool) (value string, set bool, err error) {
	path, err := s.path(object, key)
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil && optional != nil && *optional && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoSecrets)) {
		return "", false, nil
	}
	return string(data), err == nil, err
}

// value resolves a variable's source.
func (s secrets) value(
	pool *v1alpha1.GearmanWorkerPool, from *corev1.EnvVarSource,
) (value string, set bool, err error) {
	switch {
	case from.SecretKeyRef != nil:
		return s.read(from.SecretKeyRef.Name, from.SecretKeyRef.Key, from.SecretKeyRef.Optional)
	case from.ConfigMapKeyRef != nil:
		return s.read(from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key, from.ConfigMapKeyRef.Optional)
	case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.namespace":
		return pool.Namespace, true, nil
	}
	return "", false, errors.New(
		"its source doesn't exist outside a cluster: use value, secretKeyRef, configMapKeyRef or fieldRef metadata.namespace",
	)
}

// all returns all keys of an object as variables.
func (s secrets) all(from corev1.EnvFromSource) ([]string, error) {
	name, optional := "", (*bool)(nil)
	switch {
	case from.SecretRef != nil:
		name, optional = from.SecretRef.Name, from.SecretRef.Optional
	case from.ConfigMapRef != nil:
		name, optional = from.ConfigMapRef.Name, from.ConfigMapRef.Optional
	}
	dir, err := s.path(name, ".")
	var entries []os.DirEntry
	if err == nil {
		entries, err = os.ReadDir(dir)
	}
	if err != nil {
		if optional != nil && *optional && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoSecrets)) {
			return nil, nil
		}
		return nil, fmt.Errorf("envFrom %s: %w", name, err)
	}
	var env []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || e.IsDir() {
			continue
		}
		value, _, err := s.read(name, e.Name(), nil)
		if err != nil {
			return nil, fmt.Errorf("envFrom %s: %w", name, err)
		}
		env = append(env, from.Prefix+e.Name()+"="+value)
	}
	return env, nil
}

// tlsDir returns a directory with the files that the runtime's flags name: those of a pool's
// Secrets.
func (s secrets) tlsDir(t *v1alpha1.TLSSpec, key backlog.PoolKey) (string, error) {
	if t == nil || t.CASecret == nil && t.ClientCertificateSecret == "" {
		return "", nil
	}
	if s.dir == "" {
		return "", fmt.Errorf("tls: %w", errNoSecrets)
	}
	dir := filepath.Join(s.dir, ".tls", key.Namespace, key.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("tls: %w", err)
	}
	links := map[string][2]string{}
	if t.CASecret != nil {
		links["ca.crt"] = [2]string{t.CASecret.Name, policy.CAKey(t.CASecret)}
	}
	if c := t.ClientCertificateSecret; c != "" {
		links[corev1.TLSCertKey], links[corev1.TLSPrivateKeyKey] = [2]string{c, corev1.TLSCertKey}, [2]string{
			c, corev1.TLSPrivateKeyKey,
		}
	}
	for name, of := range links {
		path, err := s.path(of[0], of[1])
		if err == nil {
			path, err = filepath.Abs(path)
		}
		link := filepath.Join(dir, name)
		if err == nil {
			err = os.Remove(link)
		}
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = os.Symlink(path, link)
		}
		if err != nil {
			return "", fmt.Errorf("tls: %w", err)
		}
	}
	return filepath.Abs(dir)
}

// tls returns the poller's TLS settings.
func (s secrets) tls(t *v1alpha1.TLSSpec) (*backlog.TLS, error) {
	load := func(context.Context) (*tls.Config, error) {
		c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
		if ca := t.CASecret; ca != nil {
			pem, _, err := s.read(ca.Name, policy.CAKey(ca), nil)
			if err != nil {
				return nil, err
			}
			c.RootCAs = x509.NewCertPool()
			if !c.RootCAs.AppendCertsFromPEM([]byte(pem)) {
				return nil, fmt.Errorf("%s/%s holds no certificate in PEM", ca.Name, policy.CAKey(ca))
			}
		}
		if name := t.ClientCertificateSecret; name != "" {
			cert, _, err := s.read(name, corev1.TLSCertKey, nil)
			if err != nil {
				return nil, err
			}
			key, _, err := s.read(name, corev1.TLSPrivateKeyKey, nil)
			if err != nil {
				return nil, err
			}
			pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			c.Certificates = []tls.Certificate{pair}
		}
		return c, nil
	}
	if _, err := load(context.Background()); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	identity := t.ClientCertificateSecret + "\x00" + t.ServerName
	if t.CASecret != nil {
		identity += "\x00" + t.CASecret.Name + "\x00" + t.CASecret.Key
	}
	return &backlog.TLS{Identity: identity, Config: load}, nil
}
