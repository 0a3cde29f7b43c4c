package apiserver

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// TestOneExplanation: status, event and log explain a pool's replicas in the same words, and the
// metric has the same reason.
func TestOneExplanation(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	server := jobserver.Gearmand(t)
	metrics := freePort(t)
	p := pool(named(t, soloExplain), func(s *spec) {
		s.Servers = []v1alpha1.ServerAddress{v1alpha1.ServerAddress(server.Addr)}
		s.Scaling = &v1alpha1.ScalingSpec{JobsPerReplica: new(int32(1))}
	})
	o := startOperator(
		t, p.Namespace, "--runtime-image=op:1", "--metrics-secure=false", "--metrics-bind-address="+metrics,
	)
	create(t, p)
	g.Eventually(condition(t, p, v1alpha1.ConditionReady), eventually).Should(Equal("True AsExpected"))
	watcher, err := client.NewWithWatch(restConfig, client.Options{Scheme: k8s.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	statuses, err := watcher.Watch(t.Context(), &v1alpha1.GearmanWorkerPoolList{}, client.InNamespace(p.Namespace))
	if err != nil {
		t.Fatal(err)
	}
	defer statuses.Stop()
	dial(t, server.Addr).submit("resize", 4)

	var note string
	g.Eventually(func() string {
		var list eventsv1.EventList
		if err := k8s.List(t.Context(), &list, client.InNamespace(p.Namespace)); err != nil {
			return err.Error()
		}
		for _, e := range list.Items {
			// A poll may have seen only the first job.
			if e.Regarding.Name == p.Name && e.Reason == "Scaled" && strings.Contains(e.Note, " to 4 replicas: ") {
				note = e.Note
			}
		}
		return note
	}, eventually).Should(MatchRegexp("^from [0-3] to 4 replicas: "))
	// The next decision may have been written since.
	var told v1alpha1.DecisionStatus
	for told.Message == "" || !strings.HasSuffix(note, ": "+told.Message) {
		select {
		case e := <-statuses.ResultChan():
			if got, ok := e.Object.(*v1alpha1.GearmanWorkerPool); ok {
				told = got.Status.Decision
			}
		case <-time.After(eventually):
			t.Fatalf("no status said what the event says: %q", note)
		}
	}
	g.Eventually(func() string {
		var got v1alpha1.GearmanWorkerPool
		if err := k8s.Get(t.Context(), client.ObjectKeyFromObject(p), &got); err != nil {
			return err.Error()
		}
		metric := fmt.Sprintf(
			"gearman_pool_decision{namespace=%q,pool=%q,reason=%q} 1\n", p.Namespace, p.Name,
			got.Status.Decision.Reason,
		)
		if !strings.Contains(scrape(t, metrics), metric) {
			return "the metrics do not have " + metric
		}
		return ""
	}, eventually).Should(BeEmpty())
	o.stop(os.Interrupt)
	g.Expect(o.log.String()).To(MatchRegexp(`msg=Scaled .*from=[0-3] to=4 reason=%s message="%s"`, told.Reason, told.Message))
}

func freePort(t *testing.T) string {
	t.Helper()
	addr, err := jobserver.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func scrape(t *testing.T, address string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
