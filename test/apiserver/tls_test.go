package apiserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
)

// identity is a self-signed certificate for both ends of a connection.
type identity struct {
	cert, key []byte // PEM
	pair      tls.Certificate
	roots     *x509.CertPool
}

func newIdentity(t *testing.T, serial int64) *identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "jobs.example"},
		DNSNames:  []string{"jobs.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	id := &identity{
		cert:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		roots: x509.NewCertPool(),
	}
	id.roots.AppendCertsFromPEM(id.cert)
	if id.pair, err = tls.X509KeyPair(id.cert, id.key); err != nil {
		t.Fatal(err)
	}
	return id
}

// TestSecretsRotate: job servers get a new authority and the pool's Secrets follow. The operator
// switches to them without a restart, and reports wrong Secrets meanwhile.
func TestSecretsRotate(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	var current atomic.Pointer[identity]
	var shown atomic.Int64 // the serial number of the operator's last certificate
	old, next := newIdentity(t, 1), newIdentity(t, 2)
	current.Store(old)
	server := gearmantest.NewServer(gearmantest.Options{TLS: &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			id := current.Load()
			return &tls.Config{
				Certificates: []tls.Certificate{id.pair}, ClientCAs: id.roots,
				ClientAuth: tls.RequireAndVerifyClientCert,
				VerifyConnection: func(s tls.ConnectionState) error {
					shown.Store(s.PeerCertificates[0].SerialNumber.Int64())
					return nil
				},
			}, nil
		},
	}})
	t.Cleanup(server.Close)

	p := pool(namespace(t), func(s *spec) {
		s.Servers = []v1alpha1.ServerAddress{v1alpha1.ServerAddress(server.Addr())}
		s.TLS = &v1alpha1.TLSSpec{
			CASecret: &v1alpha1.SecretKey{Name: "ca"}, ClientCertificateSecret: "client", ServerName: "jobs.example",
		}
	})
	ca := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: "ca"}, Data: map[string][]byte{"ca.crt": old.cert},
	}
	client := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: "client"}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: old.cert, corev1.TLSPrivateKeyKey: old.key},
	}
	create(t, ca)
	create(t, client)
	create(t, p)
	g.Eventually(condition(t, p, v1alpha1.ConditionJobServersReachable), eventually).Should(Equal("True AllAnswer"))
	g.Expect(shown.Load()).To(BeEquivalentTo(1))

	current.Store(next)
	server.CloseConnections()
	g.Eventually(condition(t, p, v1alpha1.ConditionJobServersReachable), eventually).Should(Equal("False NoneAnswers"))

	ca.Data["ca.crt"] = next.cert
	client.Data = map[string][]byte{corev1.TLSCertKey: next.cert, corev1.TLSPrivateKeyKey: next.key}
	for _, s := range []*corev1.Secret{ca, client} {
		if err := k8s.Update(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	g.Eventually(condition(t, p, v1alpha1.ConditionJobServersReachable), 2*eventually).Should(Equal("True AllAnswer"))
	g.Expect(shown.Load()).To(BeEquivalentTo(2))
}
