package kubectlgearman

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// The operator's pools are requested with the user's token, and a refusal is explained.
func TestAsker(t *testing.T) {
	t.Parallel()
	operator := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") {
		case "Bearer good":
			fmt.Fprint(w, `{"pools":[{"namespace":"jobs","pool":"resize","queued":3}]}`)
		case "Bearer odd":
			fmt.Fprint(w, `<html>`)
		case "Bearer standby":
			http.Error(w, "not the leader", http.StatusServiceUnavailable)
		default:
			http.Error(w, "no", http.StatusForbidden)
		}
	}))
	defer operator.Close()
	for token, want := range map[string]string{
		"good": "", "bad": "you may not get", "odd": "read its answer", "standby": "503", "": "has no token",
	} {
		config := &rest.Config{Host: "https://api.example.com", BearerToken: token}
		a, err := newOperatorClient(config, operator.Listener.Addr().String(), true)
		if err == nil {
			rows, failed := a.rows(t.Context())
			if err = failed; err == nil && (len(rows) != 1 || rows[0].Pool != "resize" || rows[0].Queued != 3) {
				t.Errorf("token %q: %+v", token, rows)
			}
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("token %q: %v, want %q", token, err, want)
		}
	}
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("a token is sent without TLS")
		}
		fmt.Fprint(w, `{"pools":[]}`)
	}))
	defer plain.Close()
	a, err := newOperatorClient(&rest.Config{BearerToken: "good"}, plain.Listener.Addr().String(), false)
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := a.rows(t.Context()); err != nil || len(rows) != 0 {
		t.Errorf("%v, %v", rows, err)
	}
}

func TestMetricsPort(t *testing.T) {
	t.Parallel()
	pod := func(args []string, ports ...corev1.ContainerPort) *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Args: args, Ports: ports}}}}
	}
	metrics := corev1.ContainerPort{Name: "metrics", ContainerPort: 8080}
	if port, secure := metricsPort(pod(nil, metrics)); port != 8080 || !secure {
		t.Error(port, secure)
	}
	if port, secure := metricsPort(pod([]string{"--metrics-secure=false"}, metrics)); port != 8080 || secure {
		t.Error(port, secure)
	}
	if port, _ := metricsPort(pod(nil, corev1.ContainerPort{Name: "probes", ContainerPort: 8081})); port != 0 {
		t.Error(port)
	}
}

// If the operator does not answer, top continues with the status and reports it.
func TestRowSourceFallsBack(t *testing.T) {
	t.Parallel()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	pool := &v1alpha1.GearmanWorkerPool{}
	pool.Namespace, pool.Name = "jobs", "resize"
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(pool).Build()
	var errs bytes.Buffer
	c := &plugin{IOStreams: genericiooptions.IOStreams{ErrOut: &errs}, config: genericclioptions.NewConfigFlags(false)}
	server := "https://127.0.0.1:1"
	c.config.APIServer = &server
	source, done := c.rowSource(t.Context(), api, "gearman-system", "jobs")
	defer done()
	if rows, err := source(t.Context()); err != nil || len(rows) != 1 || rows[0].Pool != "resize" {
		t.Errorf("%+v, %v", rows, err)
	}
	if !strings.Contains(errs.String(), "no pod of the operator runs in namespace gearman-system") {
		t.Errorf("said %q", errs.String())
	}
}
