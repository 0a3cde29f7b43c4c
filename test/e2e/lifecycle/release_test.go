//go:build e2e

package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/test/cluster"
)

const (
	stageName = "e2e-release"
	crdName   = "gearmanworkerpools.gearman.dev"
)

// TestRelease tests the life of a release, with a pool that runs jobs all the time. Whatever
// happens to the operator, the pool's pods stay the same, and every job runs once.
func TestRelease(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	c, err := cluster.Connect()
	must(t, err)
	must(t, apiextensionsv1.AddToScheme(c.Client.Scheme()))
	must(t, nothingInstalled(ctx, c))
	must(t, c.MakeNamespace(ctx, cluster.OperatorNamespace)) // helm would create it and leave it
	s, err := c.NewStage(ctx, stageName)
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if t.Failed() {
			t.Log(s.Describe(ctx))
		}
		if err := c.ClearNamespace(ctx, stageName); err != nil {
			t.Error(err)
		}
	})
	before, err := inventory(ctx, c, stageName)
	must(t, err)
	before = slices.DeleteFunc(before, func(o string) bool { return slices.Contains(kept, o) })

	// Install an older chart, and submit jobs.
	must(t, c.InstallChart(ctx, olderChart(t), os.Getenv("IMAGE"), os.Getenv("IMAGE_ARCHIVE")))
	if names := crd(ctx, t, c).Spec.Names.ShortNames; len(names) > 0 {
		t.Fatalf("the older chart's CRD has the short names %v", names)
	}
	must(
		t,
		s.ApplyPool(ctx, func(spec map[string]any) { spec["minReplicas"], spec["maxReplicas"] = int64(2), int64(2) }),
	)
	eventually(ctx, t, func(ctx context.Context) error { return ready(ctx, s, 2) })
	pods := workers(ctx, t, s)
	work := &work{t: t, stage: s}
	work.submit(ctx, "upgrade", 6, 5*time.Second)

	// Upgrade while jobs run.
	must(t, c.InstallOperator(ctx, os.Getenv("IMAGE_NEXT"), os.Getenv("IMAGE_NEXT_ARCHIVE")))
	if names := crd(ctx, t, c).Spec.Names.ShortNames; !slices.Contains(names, "gwp") {
		t.Errorf("after the upgrade the CRD has the short names %v", names)
	}
	_, err = c.Helm(ctx, "test", cluster.Release, "--timeout", "2m")
	must(t, err)
	work.allRanOnce(ctx)
	same(ctx, t, s, pods, "the upgrade")

	// Uninstall while jobs run: the pool stays, its workers continue, and nothing else is left.
	work.submit(ctx, "uninstalled", 4, 5*time.Second)
	uninstall(ctx, t, c)
	work.submit(ctx, "without-operator", 2, 100*time.Millisecond)
	work.allRanOnce(ctx)
	same(ctx, t, s, pods, "uninstalling")
	if _, err := s.Pool(ctx); err != nil {
		t.Errorf("after uninstalling: %v", err)
	}
	left(ctx, t, c, before, kept)

	// Installed again, the operator adopts the existing pool.
	must(t, c.InstallOperator(ctx, os.Getenv("IMAGE"), os.Getenv("IMAGE_ARCHIVE"), "crds.keep=false"))
	must(
		t,
		s.ApplyPool(ctx, func(spec map[string]any) { spec["minReplicas"], spec["maxReplicas"] = int64(2), int64(3) }),
	)
	eventually(ctx, t, func(ctx context.Context) error { return observed(ctx, s) })
	work.submit(ctx, "again", 2, 100*time.Millisecond)
	work.allRanOnce(ctx)
	same(ctx, t, s, pods, "installing again")

	// With crds.keep=false, uninstalling leaves nothing. Kubernetes' garbage collector looks for
	// new kinds twice a minute. It forgets objects whose owner's kind was removed before it was
	// seen.
	eventually(ctx, t, func(ctx context.Context) error {
		if age := time.Since(crd(ctx, t, c).CreationTimestamp.Time); age < 90*time.Second {
			return fmt.Errorf("the CRD is %s old", age)
		}
		return nil
	})
	uninstall(ctx, t, c)
	eventually(ctx, t, func(ctx context.Context) error {
		w, err := s.Workers(ctx)
		if err == nil && len(w.Pods)+w.Replicas > 0 {
			err = fmt.Errorf("%d pods of the pool are left", len(w.Pods))
		}
		return err
	})
	left(ctx, t, c, before, []string{})
}

// kept is what crds.keep keeps, in addition to the pools themselves.
var kept = []string{
	"apiservices.apiregistration.k8s.io v1alpha1.gearman.dev",
	"customresourcedefinitions.apiextensions.k8s.io " + crdName,
}

// nothingInstalled uninstalls what the other tests used, unless there is something that does not
// belong to these tests.
func nothingInstalled(ctx context.Context, c *cluster.Cluster) error {
	if os.Getenv("IMAGE_NEXT") == "" {
		return errors.New("IMAGE_NEXT is not set: run this by make e2e")
	}
	var pools v1alpha1.GearmanWorkerPoolList
	if err := c.Client.List(ctx, &pools); err != nil && !meta.IsNoMatchError(err) {
		return err
	}
	for i := range pools.Items {
		var ns corev1.Namespace
		if err := c.Client.Get(ctx, client.ObjectKey{Name: pools.Items[i].Namespace}, &ns); err != nil {
			return err
		}
		if ns.Labels["app.kubernetes.io/managed-by"] != cluster.Owner {
			return fmt.Errorf(
				"pool %s in namespace %s is not of these tests, which delete all pools: not on this cluster",
				pools.Items[i].Name, ns.Name,
			)
		}
	}
	if err := c.ClearNamespace(ctx, stageName); err != nil {
		return err
	}
	_, err := c.Helm(ctx, "uninstall", cluster.Release, "--ignore-not-found", "--wait")
	return err
}

// olderChart returns a copy of the chart as an earlier version may have been: with another version
// number, and a CRD without short names.
func olderChart(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "gearman-operator")
	must(t, os.CopyFS(dir, os.DirFS(filepath.Join(cluster.Root(), "charts", "gearman-operator"))))
	for file, change := range map[string][2]string{
		"Chart.yaml": {"\nversion: ", "\nversion: 0.0.1-"},
		filepath.Join("files", "gearman.dev_gearmanworkerpools.yaml"): {"    shortNames:\n    - gwp\n", ""},
	} {
		path := filepath.Join(dir, file)
		data, err := os.ReadFile(path)
		must(t, err)
		older := strings.Replace(string(data), change[0], change[1], 1)
		if older == string(data) {
			t.Fatalf("%s lacks %q", file, change[0])
		}
		must(t, os.WriteFile(path, []byte(older), 0o600))
	}
	return dir
}

func uninstall(ctx context.Context, t *testing.T, c *cluster.Cluster) {
	t.Helper()
	_, err := c.Helm(ctx, "uninstall", cluster.Release, "--wait", "--timeout", "2m")
	must(t, err)
}

// left waits until the cluster has only before and want, and stays like that.
func left(ctx context.Context, t *testing.T, c *cluster.Cluster, before, want []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	eventually(ctx, t, func(ctx context.Context) error {
		now, err := inventory(ctx, c, stageName)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, added(before, now)); diff != "" {
			return fmt.Errorf("left behind (-want +got):\n%s", diff)
		}
		return nil
	})
}

func crd(ctx context.Context, t *testing.T, c *cluster.Cluster) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	found := &apiextensionsv1.CustomResourceDefinition{}
	must(t, c.Client.Get(ctx, client.ObjectKey{Name: crdName}, found))
	return found
}

func ready(ctx context.Context, s *cluster.Stage, n int) error {
	w, err := s.Workers(ctx)
	if err == nil && w.Ready != n {
		err = fmt.Errorf("%d workers ready, want %d", w.Ready, n)
	}
	return err
}

func observed(ctx context.Context, s *cluster.Stage) error {
	p, err := s.Pool(ctx)
	if err == nil && p.Status.ObservedGeneration != p.Generation {
		err = fmt.Errorf("generation %d observed, want %d", p.Status.ObservedGeneration, p.Generation)
	}
	return err
}

// workers returns the uids of the pool's pods, with how often their containers were restarted.
func workers(ctx context.Context, t *testing.T, s *cluster.Stage) map[types.UID]int32 {
	t.Helper()
	w, err := s.Workers(ctx)
	must(t, err)
	pods := map[types.UID]int32{}
	for i := range w.Pods {
		pods[w.Pods[i].UID] = 0
		for _, container := range w.Pods[i].Status.ContainerStatuses {
			pods[w.Pods[i].UID] += container.RestartCount
		}
	}
	return pods
}

func same(ctx context.Context, t *testing.T, s *cluster.Stage, want map[types.UID]int32, after string) {
	t.Helper()
	if diff := cmp.Diff(want, workers(ctx, t, s)); diff != "" {
		t.Errorf("pods and their restarts after %s (-before +after):\n%s", after, diff)
	}
}

// work is all submitted jobs.
type work struct {
	t     *testing.T
	stage *cluster.Stage
	jobs  []cluster.Job
}

func (w *work) submit(ctx context.Context, prefix string, n int, long time.Duration) {
	w.t.Helper()
	var jobs []cluster.Job
	for i := range n {
		jobs = append(jobs, cluster.Job{ID: fmt.Sprintf("%s-%d", prefix, i), Long: long, Text: "hello"})
	}
	must(w.t, w.stage.Submit(ctx, jobs))
	w.jobs = append(w.jobs, jobs...)
}

// allRanOnce waits until all jobs ran to their end, and asserts that none was lost, interrupted or
// run twice.
func (w *work) allRanOnce(ctx context.Context) {
	w.t.Helper()
	var count cluster.Count
	eventually(ctx, w.t, func(ctx context.Context) error {
		runs, err := w.stage.Runs(ctx)
		if err != nil {
			return err
		}
		if count = cluster.CountRuns(w.jobs, runs); count.Completed < len(w.jobs) {
			return fmt.Errorf("%d of %d jobs completed", count.Completed, len(w.jobs))
		}
		return nil
	})
	if want := (cluster.Count{Completed: len(w.jobs)}); count != want {
		w.t.Errorf("jobs: %+v, want %+v", count, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for check, for at most two minutes.
func eventually(ctx context.Context, t *testing.T, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	must(t, cluster.Wait(ctx, check))
}
