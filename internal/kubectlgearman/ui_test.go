package kubectlgearman

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/cli"
	"github.com/gearman-operator/gearman-operator/internal/page"
)

func pagePool() *v1alpha1.GearmanWorkerPool {
	return &v1alpha1.GearmanWorkerPool{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "resize"},
		Spec: v1alpha1.GearmanWorkerPoolSpec{
			Servers: []v1alpha1.ServerAddress{"192.0.2.1:4730"}, Function: "resize", MaxReplicas: 9,
			Scaling: &v1alpha1.ScalingSpec{TargetWaitSeconds: new(int32(7))},
		},
		Status: v1alpha1.GearmanWorkerPoolStatus{
			Replicas: 3, ReadyReplicas: 2, DesiredReplicas: 4,
			Queue:    v1alpha1.QueueStatus{Queued: 12, Running: 2, OldestWaitSeconds: 5, JobMilliseconds: 250},
			LastHour: &v1alpha1.OutcomeStatus{Completed: 50, Failed: 1, Requeued: 2},
			Measured: &v1alpha1.MeasuredStatus{BootMilliseconds: 1500},
			Servers:  []v1alpha1.ServerStatus{{Address: "192.0.2.1:4730", State: "Refused"}},
			Decision: v1alpha1.DecisionStatus{
				Reason: "TargetWait", Message: "queued jobs would start late", Terms: map[string]int64{"queued": 12},
			},
			Conditions: []metav1.Condition{
				{
					Type: v1alpha1.ConditionJobServersReachable, Status: metav1.ConditionFalse, Reason: "NoneAnswers",
					Message: "192.0.2.1:4730 refuses connections",
				},
			},
		},
	}
}

func pagePod(name string, ready bool) *corev1.Pod {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name, Labels: map[string]string{v1alpha1.LabelPool: "resize"},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status}},
		},
	}
}

func pageClient(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(
		&v1alpha1.GearmanWorkerPool{},
	).
		WithInterceptorFuncs(funcs).Build()
}

func reachDirectly(found []endpoint) []cli.Endpoint {
	all := make([]cli.Endpoint, len(found))
	for i, e := range found {
		all[i] = cli.Endpoint{Name: e.name, Addr: e.addr}
	}
	return all
}

// runSource opens a source and runs it until the test ends.
func runSource(t *testing.T, api client.WithWatch, namespace string) cli.PoolSource {
	t.Helper()
	s, err := openPoolSource(t.Context(), api, namespace, reachDirectly)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	return s
}

// awaitSnapshot waits for a snapshot as wanted.
func awaitSnapshot(t *testing.T, s page.Source, what string, ok func(page.Snapshot, error) bool) page.Snapshot {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		shown, err := s.Snapshot(t.Context())
		if ok(shown, err) {
			return shown
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s; %+v, %v", what, shown, err)
		}
	}
}

// The page shows a pool as its status and its pods have it, and follows their changes.
func TestPoolsOfThePage(t *testing.T) {
	t.Parallel()
	api := pageClient(t, interceptor.Funcs{}, pagePool(), pagePod("resize-a", true), pagePod("resize-b", false),
		&v1alpha1.GearmanWorkerPool{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "p"}})
	s := runSource(t, api, "shop")
	shown := awaitSnapshot(
		t, s, "the pool", func(s page.Snapshot, err error) bool { return err == nil && len(s.Pools) > 0 },
	)
	want := page.Pool{
		Namespace: "shop", Name: "resize", Functions: []string{"resize"}, Servers: []string{"192.0.2.1:4730"},
		Queued: 12, Running: 2, WaitSeconds: 5, TargetSeconds: 7, JobSeconds: 0.25, StartSeconds: 1.5, Completed: 50,
		Failed: 1, Requeued: 2, LastHour: true,
		Replicas: 3, Desired: 4, Ready: 2, Max: 9, Mode: "Auto", Reason: "TargetWait",
		Message: "queued jobs would start late", Partial: true,
		Terms:   map[string]int64{"queued": 12},
		Workers: []page.Worker{{Name: "resize-a", State: "ready"}, {Name: "resize-b", State: "starting"}},
	}
	got := shown.Pools[0]
	if len(got.Problems) != 1 || !strings.Contains(got.Problems[0], "192.0.2.1:4730 refuses connections Try: ") {
		t.Errorf("problems = %q", got.Problems)
	}
	got.Problems = nil
	if diff := cmp.Diff([]page.Pool{want}, []page.Pool{got}); diff != "" || len(shown.Pools) != 1 {
		t.Errorf("%d pools (-want +got):\n%s", len(shown.Pools), diff)
	}
	if diff := cmp.Diff(
		[]page.Server{{Address: "192.0.2.1:4730", State: "Refused", AnswerUnknown: true}}, shown.Servers,
	); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}

	pool := pagePool()
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(pool), pool); err != nil {
		t.Fatal(err)
	}
	pool.Status.DesiredReplicas = 8
	if err := api.Status().Update(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if err := api.Delete(t.Context(), pagePod("resize-b", false)); err != nil {
		t.Fatal(err)
	}
	awaitSnapshot(t, s, "the change", func(s page.Snapshot, err error) bool {
		return err == nil && s.Pools[0].Desired == 8 && len(s.Pools[0].Workers) == 1
	})
	for function, count := range map[string]int{"resize": 1, "nobody's": 0} {
		if found, err := s.Find(t.Context(), function); err != nil || len(found) != count {
			t.Errorf("job servers of %s: %v, %v; want %d", function, found, err, count)
		}
	}
}

// Without the right to list pods the page shows no workers and says so; without the right to list
// pools there is no page.
func TestPageWithFewerRights(t *testing.T) {
	t.Parallel()
	forbid := func(kind string) interceptor.Funcs {
		return interceptor.Funcs{List: func(
			ctx context.Context, api client.WithWatch, list client.ObjectList, o ...client.ListOption,
		) error {
			_, pods := list.(*corev1.PodList)
			if pods == (kind == "pods") {
				return apierrors.NewForbidden(schema.GroupResource{Resource: kind}, "", errors.New("not you"))
			}
			return api.List(ctx, list, o...)
		}}
	}
	s := runSource(t, pageClient(t, forbid("pods"), pagePool(), pagePod("resize-a", true)), "")
	shown := awaitSnapshot(
		t, s, "the pool", func(s page.Snapshot, err error) bool { return err == nil && len(s.Pools) == 1 },
	)
	if len(shown.Pools[0].Workers) > 0 || !strings.Contains(shown.Note, "you may not list pods") {
		t.Errorf("workers %v, note %q", shown.Pools[0].Workers, shown.Note)
	}
	if _, err := openPoolSource(t.Context(), pageClient(t, forbid("pools")), "", reachDirectly); err == nil ||
		!strings.Contains(err.Error(), "list pools") {
		t.Errorf("error = %v, want one about listing pools", err)
	}
}

// While the API server does not answer, the page reports it rather than show outdated data.
func TestPageWithoutAnAPIServer(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	api := pageClient(t, interceptor.Funcs{List: func(
		ctx context.Context, api client.WithWatch, list client.ObjectList, o ...client.ListOption,
	) error {
		if asked.Add(1) > 2 { // what checks the rights is answered
			return errors.New("connection refused")
		}
		return api.List(ctx, list, o...)
	}}, pagePool())
	s := runSource(t, api, "")
	awaitSnapshot(t, s, "the outage", func(_ page.Snapshot, err error) bool {
		return err != nil && strings.Contains(err.Error(), "connection refused")
	})
	if _, err := s.Find(t.Context(), "resize"); err == nil {
		t.Error("job servers are found without an answer of the API server")
	}
}

func TestWorkersOfThePage(t *testing.T) {
	t.Parallel()
	leaving, ended := pagePod("c", true), pagePod("d", false)
	leaving.DeletionTimestamp = new(metav1.Now())
	ended.Status.Phase = corev1.PodFailed
	workers := map[client.ObjectKey][]page.Worker{}
	for _, pod := range []*corev1.Pod{pagePod("a", true), pagePod("b", false), leaving, ended} {
		addWorker(workers, pod)
	}
	want := map[client.ObjectKey][]page.Worker{
		{Namespace: "shop", Name: "resize"}: {
			{Name: "a", State: "ready"}, {Name: "b", State: "starting"}, {Name: "c", State: "draining"},
		},
	}
	if diff := cmp.Diff(want, workers); diff != "" {
		t.Errorf("workers (-want +got):\n%s", diff)
	}
}

// address forwards the address that the command prints.
type address chan string

func (a address) Write(p []byte) (int, error) {
	if _, url, ok := strings.Cut(strings.TrimSpace(string(p)), "The page is at "); ok {
		a <- url
	}
	return len(p), nil
}

// checkPage runs the command with a real API server: an existing pool, and a new one, are on the
// page.
func checkPage(t *testing.T, api client.Client, args ...string) {
	t.Helper()
	out := make(address, 1)
	cmd := NewCommand(genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: io.Discard})
	cmd.SetArgs(append([]string{"ui", "--listen", "127.0.0.1:0"}, args...))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	url := ""
	select {
	case url = <-out:
	case err := <-done:
		stop()
		t.Fatalf("the command ended: %v", err)
	}
	await := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			response, err := http.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			switch {
			case err != nil:
				t.Fatal(err)
			case strings.Contains(string(body), want):
				return
			case time.Now().After(deadline):
				t.Fatalf("%s is not on the page within a minute:\n%s", want, body)
			}
		}
	}
	await("default/resize")
	later := pagePool()
	later.Namespace, later.Name, later.Spec.Image, later.Spec.Concurrency = "default", "later", "later:1", 1
	if err := api.Create(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	await("default/later")
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
