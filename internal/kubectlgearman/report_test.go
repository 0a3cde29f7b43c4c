package kubectlgearman

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

func reported(t *testing.T) []client.Object {
	t.Helper()
	pool := &v1alpha1.GearmanWorkerPool{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "jobs", Name: "resize", Annotations: map[string]string{"last-applied": "hunter2"},
		},
		Spec: v1alpha1.GearmanWorkerPoolSpec{
			Servers: []v1alpha1.ServerAddress{"gearmand"}, Function: "resize", Image: "example.com/resize",
			Command: []string{"resize", "hunter2"}, Args: []string{"--key=hunter2"},
			Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "hunter2"}},
			Runtime: &v1alpha1.RuntimeSpec{
				HTTP: &v1alpha1.HTTPRuntime{URL: "http://u:hunter2@127.0.0.1:8080/run?key=hunter2"},
			},
			PodTemplate: &runtime.RawExtension{Raw: []byte(`{"spec":{"containers":[{"name":"side","env":[{"name":"A","value":"hunter2"}],"args":["hunter2"]}]}}`)},
		},
	}
	pool.Status.Conditions = []metav1.Condition{
		{Type: "Ready", Status: "False", Reason: "PodsNotStarting", Message: "workers can't start"},
	}
	operator := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "gearman-system", Name: "operator-1", Labels: operatorLabels},
	}
	operator.Spec.Containers = []corev1.Container{{Name: "manager", Image: "example.com/operator:1"}}
	worker := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "jobs", Name: "resize-1", Labels: map[string]string{v1alpha1.LabelPool: "resize"},
		},
	}
	worker.Status.ContainerStatuses = []corev1.ContainerStatus{
		{
			RestartCount: 3,
			State:        corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}},
		},
	}
	event := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "jobs", Name: "e"},
		EventTime:  metav1.NewMicroTime(time.Unix(1_700_000_000, 0)), Type: "Warning",
		Reason: "PodsNotStarting", Note: "no\nnode", Regarding: corev1.ObjectReference{Kind: poolKind, Name: "resize"},
	}
	return []client.Object{pool, operator, worker, event}
}

// A report has what a reader without access to the cluster needs, and no secret.
func TestReport(t *testing.T) {
	t.Parallel()
	r := reporter{api: fakeAPI(t, reported(t)...).Build(), namespace: "jobs", now: time.Unix(1_700_000_000, 0)}
	r.log = func(context.Context, *corev1.Pod) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("{\"msg\":\"Scaled\"}\n")), nil
	}
	var out bytes.Buffer
	if err := r.write(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2023-11-14T22:13:20Z", "gearman-system/operator-1", "example.com/operator:1", `#: {"msg":"Scaled"}`, "image: example.com/resize", "name: PASSWORD", "- resize\n",
		"http://REDACTED@127.0.0.1:8080/run?REDACTED", "message: workers can't start", `restarts: 3, reason: "ImagePullBackOff"`, `note: "no\nnode"`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Error("the report holds a secret")
	}
	for document := range strings.SplitSeq(out.String(), "---\n") {
		var content any
		if err := yaml.Unmarshal([]byte(document), &content); err != nil {
			t.Errorf("%v in\n%s", err, document)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// The report names what the user may not read, and contains the rest.
func TestReportOfWhatIsReadable(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	api := fakeAPI(t, reported(t)...).WithInterceptorFuncs(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, pools := list.(*v1alpha1.GearmanWorkerPoolList); pools {
				return c.List(ctx, list, opts...)
			}
			return refused
		},
	}).Build()
	r := reporter{
		api: api, namespace: "jobs",
		log: func(context.Context, *corev1.Pod) (io.ReadCloser, error) { return nil, refused },
	}
	var out bytes.Buffer
	if err := r.write(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# the operator's pods: not readable: refused",
		"# its pods: not readable: list the pods of pool resize: refused", "# the events: not readable: refused",
		"image: example.com/resize",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}
	r.api = fakeAPI(t, reported(t)...).Build()
	out.Reset()
	if err := r.write(t.Context(), &out); err != nil ||
		!strings.Contains(out.String(), "# the log: not readable: refused") {
		t.Errorf("%v\n%s", err, out.String())
	}
	if err := r.write(t.Context(), failingWriter{}); err == nil {
		t.Error("a write that fails is not reported")
	}
}

func TestReportFile(t *testing.T) {
	t.Parallel()
	r := reporter{api: fakeAPI(t).Build(), namespace: "jobs"}
	var out bytes.Buffer
	c := &plugin{IOStreams: genericiooptions.IOStreams{Out: &out}}
	file := filepath.Join(t.TempDir(), "report.yaml")
	if err := c.writeReport(t.Context(), &r, file); err != nil || out.String() != "wrote "+file+"\n" {
		t.Errorf("%v, %q", err, out.String())
	}
	if data, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(data), "# Report of kubectl gearman") {
		t.Errorf("%v, %q", err, data)
	}
	if err := c.writeReport(t.Context(), &r, file); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file that exists: %v", err)
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	in := map[string]any{
		"command": []any{"run", "x"}, "args": []any{"a", "b"}, "annotations": map[string]any{"a": "x"}, "name": "n",
		"url": "odd://", "replicas": 3.0,
		"list": []any{"https://h/p", map[string]any{"value": 5.0}}, "data": map[string]any{"a": "x"},
	}
	want := map[string]any{
		"command": []any{"run", redacted}, "args": []any{redacted, redacted}, "annotations": nil, "name": "n",
		"url": redacted, "replicas": 3.0,
		"list": []any{"https://h/p", map[string]any{"value": redacted}}, "data": redacted,
	}
	if diff := cmp.Diff(want, redact(in)); diff != "" {
		t.Error(diff)
	}
}
