package operator

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// Scrapes run one after the other, and one that waits too long gets an error.
func TestOneScrapeAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, oneScrapeAtATime)
}

func oneScrapeAtATime(t *testing.T) {
	var mu sync.Mutex
	running, most := 0, 0
	release := make(chan struct{})
	filter, err := serially(nil)(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := filter(logr.Discard(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		running++
		most = max(most, running)
		mu.Unlock()
		<-release
		mu.Lock()
		running--
		mu.Unlock()
	}))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	codes := make(chan int, 10)
	for range 10 {
		wg.Go(func() {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
			codes <- w.Code
		})
	}
	release <- struct{}{}
	release <- struct{}{}
	for range 7 { // the third is served now; the others give up
		if code := <-codes; code != http.StatusOK && code != http.StatusServiceUnavailable {
			t.Error(code)
		}
	}
	close(release)
	wg.Wait()
	if most != 1 {
		t.Errorf("%d scrapes at once", most)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	handler.ServeHTTP(
		httptest.NewRecorder(), httptest.NewRequestWithContext(gone, http.MethodGet, "/metrics", http.NoBody),
	)
}

func TestAuthorizationThatCannotBeSetUp(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	if _, err := serially(
		func(*rest.Config, *http.Client) (server.Filter, error) { return nil, broken },
	)(nil, nil); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// On a real API server: a client without a token, with a wrong one or without the right gets
// nothing.
func TestWhoMayScrape(t *testing.T) {
	t.Parallel()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("needs an API server: set KUBEBUILDER_ASSETS, as make test does")
	}
	environment := &envtest.Environment{}
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	admin, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	token := func(name string) string {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
		request := &authenticationv1.TokenRequest{}
		if err := errors.Join(
			admin.Create(t.Context(), account), admin.SubResource("token").Create(t.Context(), account, request),
		); err != nil {
			t.Fatal(err)
		}
		return request.Status.Token
	}
	reader, nobody := token("reader"), token("nobody")
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "metrics-reader"},
		Rules:      []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}},
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "metrics-reader"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: "reader"}},
	}
	if err := errors.Join(admin.Create(t.Context(), role), admin.Create(t.Context(), binding)); err != nil {
		t.Fatal(err)
	}

	address, err := jobserver.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	o, err := Parse("manager", []string{"--runtime-image=r", "--metrics-bind-address=" + address})
	if err != nil {
		t.Fatal(err)
	}
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := server.NewServer(metricsOptions(&o), config, httpClient)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- metrics.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	scrape := func(scheme, token string) (int, string) {
		request, err := http.NewRequestWithContext(
			t.Context(), http.MethodGet, scheme+"://"+address+"/metrics", http.NoBody,
		)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		c := http.Client{
			Timeout: 30 * time.Second,
			// a self-signed certificate
			Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		}
		response, err := c.Do(request)
		if err != nil {
			return 0, err.Error()
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil && response.StatusCode == http.StatusOK {
			t.Error(err)
		}
		return response.StatusCode, string(body)
	}
	// The server and the authorizer's cache of roles need a moment.
	code, body := scrape("https", reader)
	for deadline := time.Now().Add(time.Minute); code != http.StatusOK; code, body = scrape("https", reader) {
		if time.Now().After(deadline) {
			t.Fatal(code, body)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if !strings.Contains(body, "go_goroutines") {
		t.Errorf("%.200s", body)
	}
	for name, tt := range map[string]struct {
		scheme, token string
		want          int
	}{
		"no token": {"https", "", 401}, "a wrong token": {"https", "x.y.z", 401}, "no right": {"https", nobody, 403},
		"plain HTTP": {"http", reader, 400},
	} {
		if code, body := scrape(tt.scheme, tt.token); code != tt.want || strings.Contains(body, "go_goroutines") {
			t.Errorf("%s: %d, want %d: %.200s", name, code, tt.want, body)
		}
	}
}
