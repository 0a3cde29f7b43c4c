package apiserver

import (
	"cmp"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/test/kit"
	"github.com/gearman-operator/gearman-operator/test/tlsproxy"
)

// TestClientCertificates: the operator reaches the job server of examples/gearmand-tls.yaml with a
// certificate of its CA, but not without a certificate or with one of another CA.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	proxy := tlsproxy.Start(t, "../../examples")
	_, ca := proxy.File(t, "ca.crt")
	_, cert := proxy.File(t, "client.crt")
	_, key := proxy.File(t, "client.key")
	stranger := kit.NewCA(t).Issue(t, "stranger")
	ns := namespace(t)
	create(
		t,
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "ca"}, Data: map[string][]byte{"ca.crt": ca}},
	)
	for name, pair := range map[string]kit.Pair{"client": {Cert: cert, Key: key}, "stranger": stranger} {
		create(t, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Type: corev1.SecretTypeTLS,
			Data: map[string][]byte{corev1.TLSCertKey: pair.Cert, corev1.TLSPrivateKeyKey: pair.Key},
		})
	}
	for secret, want := range map[string]string{
		"client": "True AllAnswer", "stranger": "False NoneAnswers", "": "False NoneAnswers",
	} {
		t.Run(cmp.Or(secret, "none"), func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			p := pool(ns, func(s *spec) {
				s.Servers = []v1alpha1.ServerAddress{v1alpha1.ServerAddress(proxy.Addr)}
				s.TLS = &v1alpha1.TLSSpec{
					CASecret: &v1alpha1.SecretKey{Name: "ca"}, ClientCertificateSecret: secret,
					ServerName: tlsproxy.ServerName,
				}
			})
			p.Name = "pool-" + cmp.Or(secret, "none")
			create(t, p)
			g.Eventually(condition(t, p, v1alpha1.ConditionJobServersReachable), eventually).Should(Equal(want))
			if want != "True AllAnswer" { // and not because it has not been polled yet
				g.Eventually(func() (string, error) {
					err := k8s.Get(t.Context(), client.ObjectKeyFromObject(p), p)
					if err != nil || len(p.Status.Servers) == 0 {
						return "", err
					}
					return p.Status.Servers[0].State, nil
				}, eventually).Should(Equal("TLSFailed"))
			}
		})
	}
}
