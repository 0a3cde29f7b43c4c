package apiserver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/test/steady"
)

// TestNoise: jobs come at random and take random times, the pool scales with them, and its status
// stays calm. No condition flaps except those that report the scaling itself, no event is repeated,
// and the status is written only when there is something to report. This is a short form, with a
// poll each second, of the ten minutes on the real cluster in make e2e-long.
func TestNoise(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	server := jobserver.Gearmand(t)
	p := pool(namespace(t), func(s *spec) {
		s.Servers = []v1alpha1.ServerAddress{v1alpha1.ServerAddress(server.Addr)}
		s.MaxReplicas = 6
		s.Scaling = &v1alpha1.ScalingSpec{
			PollSeconds: new(int32(1)), IdleSeconds: new(int32(2)), TargetWaitSeconds: new(int32(5)),
		}
	})
	create(t, p)
	startKubelet(t, p, server.Addr)
	g.Eventually(condition(t, p, v1alpha1.ConditionReady), eventually).Should(Equal("True AsExpected"))
	g.Eventually(condition(t, p, v1alpha1.ConditionReconciling), eventually).Should(Equal("False AsExpected"))

	watcher, err := client.NewWithWatch(restConfig, client.Options{Scheme: k8s.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	record := steady.Watch(ctx, t, watcher, p)
	c := dial(t, server.Addr)
	random := rand.New(rand.NewPCG(1, 2))
	begin, submitted := time.Now(), 0
	for time.Since(begin) < 45*time.Second {
		for range random.IntN(6) {
			c.write(
				proto.AppendSubmit(nil, proto.TypeSubmitJobBG, "resize", "", fmt.Sprintf("%.2f", random.ExpFloat64())),
			)
			c.next(proto.TypeJobCreated)
			submitted++
		}
		time.Sleep(time.Duration(random.IntN(2500)) * time.Millisecond) // the noise itself
	}
	g.Eventually(replicas(t, p), 3*eventually).Should(BeEquivalentTo(0))
	lasted := time.Since(begin)
	stop()
	record.Check(t, lasted)
	t.Logf("%d jobs in %v: %s", submitted, lasted.Round(time.Second), record)

	var list eventsv1.EventList
	if err := k8s.List(t.Context(), &list, client.InNamespace(p.Namespace)); err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, e := range list.Items {
		if e.Regarding.Kind == "GearmanWorkerPool" && e.Regarding.Name == p.Name {
			told = append(told, e.Reason+": "+e.Note)
		}
	}
	if len(told) > record.Scalings()+2 {
		t.Errorf("%d events for %d changes of replicas: %v", len(told), record.Scalings(), told)
	}
	if !slices.ContainsFunc(told, func(s string) bool { return len(s) > len("Scaled: ") }) {
		t.Errorf("no event tells of a scaling: %v", told)
	}
}
