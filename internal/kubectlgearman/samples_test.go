package kubectlgearman

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/cli"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
	"github.com/gearman-operator/gearman-operator/internal/poolrow"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/version"
)

// samples are the outputs that docs/kubectl-plugin.md shows, by name: the command, and what it
// prints.
var samples = map[string]struct {
	command string
	prints  func(*testing.T, time.Time, *bytes.Buffer) error
}{
	"explain": {"explain index -n jobs --operator-namespace gearman-system --numbers", printExplain},
	"doctor":  {"doctor --operator-namespace gearman-system", printDoctor},
	"check":   {"check -f pool.yaml --server", printCheck},
}

// The page shows what the commands print; UPDATE_GOLDEN=1 writes it anew.
func TestSamplesOfThePage(t *testing.T) {
	t.Parallel()
	const file = "../../docs/kubectl-plugin.md"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := string(data)
	for name, sample := range samples {
		var out bytes.Buffer
		if err := sample.prints(t, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), &out); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		begin, end := fmt.Sprintf("<!-- sample %s: written by TestSamplesOfThePage -->\n", name), "<!-- /sample -->\n"
		head, rest, found := strings.Cut(want, begin)
		_, tail, closed := strings.Cut(rest, end)
		if !found || !closed {
			t.Fatalf("%s lacks the lines %q and %q", file, begin, end)
		}
		want = head + begin + "```console\n$ kubectl gearman " + sample.command + "\n" + trimmed(out.String()) + "```\n" +
			end + tail
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("%s is not what the plugin prints; UPDATE_GOLDEN=1 writes it anew (-want +got):\n%s", file, diff)
	}
}

// printExplain explains a pool without problems, which has just been scaled up, by the operator's
// figures.
func printExplain(t *testing.T, now time.Time, out *bytes.Buffer) error {
	t.Helper()
	well := incident{
		name: "index", queued: 30, running: 6, ready: 6, completes: true, facts: func(f *poolstatus.Facts) {
			f.View.JobsTotal = outcome.Counts{Completed: 5120, Failed: 3, Requeued: 1}
			f.View.LastHour = f.View.JobsTotal
		},
	}
	pool := well.happens(t, now)
	pool.Status.LastScaleTime = &metav1.Time{Time: now.Add(-5 * time.Minute)}
	row := poolrow.Of(pool)
	row.FiguresAgeSeconds = new(2.)
	return writeExplanation(cli.Sanitized(out), explainOptions{now: now, numbers: true, live: &row}, pool)
}

// printDoctor examines a cluster in which one of three pools has a job server that is down, and
// another a typo.
func printDoctor(t *testing.T, now time.Time, out *bytes.Buffer) error {
	t.Helper()
	found := examination{leader: "gearman-operator-7c9d5f6b8-x2x7k", now: now, renewed: now.Add(-time.Second)}
	for _, name := range []string{found.leader, "gearman-operator-7c9d5f6b8-p9fqz"} {
		found.operator = append(found.operator, corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "gearman-system", Name: name},
			Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Image: "registry.example.com/team/gearman-operator:0.1.0"}},
			},
			Status: corev1.PodStatus{
				Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			},
		})
	}
	for i := range incidents {
		if name := incidents[i].name; name == "mail" || name == "report" {
			found.pools = append(found.pools, *incidents[i].happens(t, now))
		}
	}
	// The pool of mail has a job server of its own: the other pools' answers.
	status, err := json.Marshal(found.pools[0].Status)
	if err != nil {
		return err
	}
	status = bytes.ReplaceAll(status, []byte("gearmand.jobs.svc:4730 (10.96.0.7:"), []byte("mail.jobs.svc:4730 (10.96.0.8:"))
	if err := json.Unmarshal(status, &found.pools[0].Status); err != nil {
		return err
	}
	well := incident{name: "index", running: 1, ready: 1, completes: true}
	found.pools = append(found.pools, *well.happens(t, now))
	for i := range found.pools {
		row := poolrow.Of(&found.pools[i])
		row.FiguresAgeSeconds = new(1. + float64(i))
		found.rows = append(found.rows, row)
	}
	found.rows[0].FiguresAgeSeconds = new(312.)
	found.rows[0].Silent = []poolrow.Silent{
		{Server: "mail.jobs.svc:4730 (10.96.0.8:4730)", State: "Refused", AnswerAgeSeconds: new(312.)},
	}
	var text bytes.Buffer
	if err := found.write(cli.Sanitized(&text)); !errors.Is(err, errCritical) {
		return fmt.Errorf("doctor ends with %w, want %w", err, errCritical)
	}
	// The version of a test's binary is none.
	out.WriteString(strings.Replace(text.String(), "this plugin: "+version.Version, "this plugin: 0.1.0", 1))
	return nil
}

const checkedPool = `apiVersion: gearman.dev/v1alpha1
kind: GearmanWorkerPool
metadata:
  namespace: jobs
  name: thumbnails
spec:
  servers: ["gearmand.jobs.svc:4730"]
  function: resize
  image: example.com/thumbnails:1.4
  envFrom: [{secretRef: {name: s3}}]
`

// printCheck checks a pool whose Secret is missing.
func printCheck(t *testing.T, _ time.Time, out *bytes.Buffer) error {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "pool.yaml")
	if err := os.WriteFile(file, []byte(checkedPool), 0o600); err != nil {
		return err
	}
	var valid bytes.Buffer
	pools, err := checkFiles(&valid, []string{file})
	if err != nil {
		return err
	}
	out.WriteString(strings.ReplaceAll(valid.String(), dir+"/", ""))
	api := interceptor.NewClient(fakeAPI(t).Build(), interceptor.Funcs{
		Create: func(
			ctx context.Context, c client.WithWatch, object client.Object, opts ...client.CreateOption,
		) error {
			if review, ok := object.(*authorizationv1.SelfSubjectAccessReview); ok {
				review.Status.Allowed = true
				return nil
			}
			return c.Create(ctx, object, opts...)
		},
	})
	checks := &serverChecks{
		api: api,
		reach: func(context.Context, *v1alpha1.GearmanWorkerPool, v1alpha1.ServerAddress) error {
			return nil
		},
	}
	if err := checks.check(t.Context(), cli.Sanitized(out), &pools[0]); !errors.Is(err, errChecks) {
		return fmt.Errorf("check ends with %w, want %w", err, errChecks)
	}
	return nil
}
