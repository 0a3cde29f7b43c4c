//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	gearman "github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/test/cluster"
)

// TestExamples applies the pools of examples/ unchanged. A client waits for each job, sees its
// progress, and gets its result, starting without any pod.
func TestExamples(t *testing.T) {
	t.Parallel()
	s := stage(t)
	ctx := within(t, 5*time.Minute)
	for _, file := range []string{"php", "python", "shell", "http"} {
		must(t, s.ApplyPools(ctx, "examples/"+file+".yaml", nil))
	}
	t.Cleanup(func() { // after the jobs
		if !t.Failed() {
			sidecarEnds(t, s, "http-reverse")
		}
	})
	for name, tc := range map[string]struct {
		function, workload, want string
		progress                 []string
	}{
		"a PHP program":       {"php-reverse", "hello", "olleh", []string{"1/2"}},
		"a Net_Gearman job":   {"Sum", "[1,2,3.5]", `{"result":6.5}`, []string{"1/3", "2/3", "3/3"}},
		"its init parameters": {"Greet", `"you"`, `{"text":"Hello you"}`, nil},
		"a Python program":    {"python-reverse", "hello", "olleh", []string{"1/2"}},
		"a line of shell":     {"shell-upper", "hello", "HELLO", []string{"1/2", "2/2"}},
		"an HTTP service":     {"http-reverse", "hello", "olleh", []string{"1/2"}},
		"a workload of 3 MiB": {
			"php-reverse", string(make([]byte, 3<<20)), string(make([]byte, 3<<20)), []string{"1/2"},
		},
		"a response of 3 MiB": {
			"http-reverse", string(make([]byte, 3<<20)), string(make([]byte, 3<<20)), []string{"1/2"},
		},
		"a workload of 300 kB": {
			"shell-upper", string(make([]byte, 300_000)), string(make([]byte, 300_000)), []string{"1/2", "2/2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var progress []string
			result, err := s.Do(within(t, 4*time.Minute), &gearman.Task{
				Function: tc.function, Payload: []byte(tc.workload),
				OnStatus: func(n, d uint64) {
					mu.Lock()
					defer mu.Unlock()
					progress = append(progress, fmt.Sprintf("%d/%d", n, d))
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if diff := cmp.Diff(tc.want, string(result)); diff != "" {
				t.Errorf("result (-want +got):\n%.500s", diff)
			}
			if diff := cmp.Diff(tc.progress, progress); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
		})
	}
}

// sidecarEnds deletes a pool and waits until its pods are gone: long before the kubelet would kill
// a process that ignores SIGTERM.
func sidecarEnds(t *testing.T, s *cluster.Stage, pool string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the pool's grace is 90 s
	defer cancel()
	p := &v1alpha1.GearmanWorkerPool{}
	p.Namespace, p.Name = s.Namespace, pool
	if err := s.Client.Delete(ctx, p); err != nil {
		t.Error(err)
		return
	}
	err := cluster.Wait(ctx, func(ctx context.Context) error {
		var pods corev1.PodList
		err := s.Client.List(
			ctx, &pods, client.InNamespace(s.Namespace), client.MatchingLabels{v1alpha1.LabelPool: pool},
		)
		if err == nil && len(pods.Items) > 0 {
			err = fmt.Errorf("pod %s is still there", pods.Items[0].Name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
