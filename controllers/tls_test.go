package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

// TestIdentity: identities differ if a tag, a value or the boundary between two values differs.
func TestIdentity(t *testing.T) {
	t.Parallel()
	digest := func(parts ...[]string) string {
		h := identity{sha256.New()}
		for _, p := range parts {
			h.add(p[0], p[1:]...)
		}
		return hex.EncodeToString(h.Sum(nil))
	}
	all := map[string]string{}
	for name, d := range map[string]string{
		"nothing":        digest(),
		"an empty value": digest([]string{"ca", ""}),
		"a value":        digest([]string{"ca", "ab"}),
		"two values":     digest([]string{"ca", "a", "b"}),
		"another border": digest([]string{"ca", "", "ab"}),
		"another tag":    digest([]string{"clientCertificate", "ab"}),
		"two parts":      digest([]string{"ca", "a"}, []string{"b"}),
	} {
		if other, ok := all[d]; ok {
			t.Errorf("%s and %s are one identity", name, other)
		}
		all[d] = name
	}
}

// TestTLSIdentity: a pool shares connections only with pools that name the same Secrets in the same
// version. The certificate alone, which is no secret, is not enough to share a connection that was
// opened with its key.
func TestTLSIdentity(t *testing.T) {
	t.Parallel()
	pair := kit.NewCA(t).Issue(t, "worker.example")
	secret := func(name, uid, version string) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(uid), ResourceVersion: version},
			Data:       map[string][]byte{"ca.crt": pair.Cert, corev1.TLSCertKey: pair.Cert, corev1.TLSPrivateKeyKey: pair.Key},
		}
	}
	w := newWorld(t, newPool("p"), secret("a", "1", "5"), secret("b", "2", "5"))
	all := map[string]string{}
	for name, spec := range map[string]*v1alpha1.TLSSpec{
		"a server name":           {ServerName: string(pair.Cert)},
		"a CA":                    {CASecret: &v1alpha1.SecretKey{Name: "a"}},
		"the same CA, elsewhere":  {CASecret: &v1alpha1.SecretKey{Name: "b"}},
		"a certificate":           {ClientCertificateSecret: "a"},
		"the same one, elsewhere": {ClientCertificateSecret: "b"},
		"both":                    {CASecret: &v1alpha1.SecretKey{Name: "a"}, ClientCertificateSecret: "a"},
		"neither":                 {},
	} {
		p := w.pool("p")
		p.Spec.TLS = spec
		_, id, err := readTLS(t.Context(), w.api, p)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if other, ok := all[id]; ok {
			t.Errorf("%s and %s share connections", name, other)
		}
		all[id] = name
	}
	p := w.pool("p")
	p.Spec.TLS = &v1alpha1.TLSSpec{ClientCertificateSecret: "a"}
	_, before, _ := readTLS(t.Context(), w.api, p)
	var s corev1.Secret
	if err := w.api.Get(t.Context(), types.NamespacedName{Namespace: "ns", Name: "a"}, &s); err != nil {
		t.Fatal(err)
	}
	s.Labels = map[string]string{"a": "b"}
	if err := w.api.Update(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	if _, after, err := readTLS(t.Context(), w.api, p); err != nil || after == before {
		t.Errorf("another version of the Secret has the same identity (%v)", err)
	}
}
