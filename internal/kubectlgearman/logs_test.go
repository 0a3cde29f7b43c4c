package kubectlgearman

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/cli"
)

// fakeAPI is an API server with some objects.
func fakeAPI(t *testing.T, objects ...client.Object) *fake.ClientBuilder {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...)
}

func TestPodsOf(t *testing.T) {
	t.Parallel()
	at := func(name, label, value string, minute int) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: "jobs", Name: name, Labels: map[string]string{label: value},
			CreationTimestamp: metav1.NewTime(time.Date(2026, 5, 1, 12, minute, 0, 0, time.UTC)),
		}}
	}
	pool := func(name, selector string, ref *v1alpha1.TargetRef) *v1alpha1.GearmanWorkerPool {
		p := &v1alpha1.GearmanWorkerPool{ObjectMeta: metav1.ObjectMeta{Namespace: "jobs", Name: name}}
		p.Spec.TargetRef, p.Status.Selector = ref, selector
		return p
	}
	legacy := &v1alpha1.TargetRef{Kind: "Deployment", Name: "legacy"}
	api := fakeAPI(t, pool("own", "", nil), pool("target", "app=legacy", legacy), pool("new", "", legacy),
		at(
			"own-1", v1alpha1.LabelPool, "own", 1,
		), at("own-2", v1alpha1.LabelPool, "own", 2), at("legacy-1", "app", "legacy", 1)).Build()
	for name, want := range map[string][]string{
		"own": {"own-2", "own-1"}, "target": {"legacy-1"}, "new": nil, "none": nil,
	} {
		pods, err := podsOf(t.Context(), api, client.ObjectKey{Namespace: "jobs", Name: name})
		var got []string
		for i := range pods {
			got = append(got, pods[i].Name)
		}
		if diff := cmp.Diff(want, got); diff != "" || (err != nil) != (want == nil) {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestWriteLogs(t *testing.T) {
	t.Parallel()
	pod := func(name string, containers ...string) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}}
		for _, c := range containers {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c})
		}
		return p
	}
	broken := errors.New("broken")
	open := func(_ context.Context, p *corev1.Pod) (io.ReadCloser, error) {
		switch p.Name {
		case "starts":
			return nil, broken
		case "cut":
			return io.NopCloser(io.MultiReader(strings.NewReader("one\n"), iotest.ErrReader(broken))), nil
		}
		return io.NopCloser(strings.NewReader("job failed \x1b[2J\nof " + workerOf(p))), nil
	}
	var out bytes.Buffer
	err := writeLogs(
		t.Context(), cli.Sanitized(&out), "resize",
		[]corev1.Pod{pod("a", "proxy", "worker"), pod("b", "app", "proxy"), pod("cut"), pod("starts")}, open,
	)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "pod starts: broken") ||
		!strings.Contains(err.Error(), "log of pod cut: broken") {
		t.Error(err)
	}
	got := slices.Sorted(strings.Lines(out.String()))
	want := []string{
		"a: job failed \\u001b[2J\n", "a: of worker\n", "b: job failed \\u001b[2J\n", "b: of app\n", "cut: one\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	var many []corev1.Pod
	for i := range maxLogStreams + 5 {
		many = append(many, pod(fmt.Sprint(i)))
	}
	out.Reset()
	if err := writeLogs(t.Context(), &out, "resize", many, open); err != nil ||
		strings.Count(out.String(), ": of ") != maxLogStreams {
		t.Errorf("%v, logs of %d pods", err, strings.Count(out.String(), ": of "))
	}
	if err := writeLogs(t.Context(), &out, "resize", nil, open); err == nil ||
		!strings.Contains(err.Error(), "explain resize") {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := writeLogs(ended, &out, "resize", []corev1.Pod{pod("starts")}, open); err != nil {
		t.Errorf("after ctrl-c: %v", err)
	}
	if err := writeLogs(t.Context(), failingWriter{}, "resize", []corev1.Pod{pod("a")}, open); err == nil {
		t.Error("a write that fails is not reported")
	}
}
