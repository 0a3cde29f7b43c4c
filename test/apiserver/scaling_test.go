package apiserver

import (
	"bytes"
	"net"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

// peer is a connection to a real job server that sends exactly what a test sets.
type peer struct {
	t        *testing.T
	conn     *proto.Conn
	assigned []byte // the job of a busy pod
	began    time.Time
	reporter *telemetry.Reporter
}

func dial(t *testing.T, addr string) *peer {
	t.Helper()
	nc, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, conn: proto.NewConn(nc, proto.Limits{})}
	t.Cleanup(func() { _ = p.conn.Close() })
	return p
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if err := p.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// next reads one packet, fails unless it has this type, and returns its first argument.
func (p *peer) next(want proto.Type) []byte {
	p.t.Helper()
	for {
		pkt, err := p.conn.Next()
		if err != nil {
			p.t.Fatal(err)
		}
		if pkt.Type == proto.TypeNoop {
			continue
		}
		if pkt.Type != want {
			p.t.Fatalf("got %s, want %s", pkt.Type, want)
		}
		first, _, _ := bytes.Cut(pkt.Data, []byte{0})
		return slices.Clone(first)
	}
}

// submit queues n background jobs.
func (p *peer) submit(function string, n int) {
	p.t.Helper()
	for range n {
		p.write(proto.AppendSubmit(nil, proto.TypeSubmitJobBG, function, "", "x"))
		p.next(proto.TypeJobCreated)
	}
}

// grab takes a job and returns its handle.
func (p *peer) grab() []byte {
	p.t.Helper()
	p.write(proto.AppendEmpty(nil, proto.Request, proto.TypeGrabJob))
	return p.next(proto.TypeJobAssign)
}

func (p *peer) complete(handle []byte) {
	p.t.Helper()
	p.write(proto.AppendWork(nil, proto.Request, proto.TypeWorkComplete, handle, ""))
	// The echo is answered after the completion has been processed.
	p.write(proto.AppendEcho(nil, proto.Request, "done"))
	p.next(proto.TypeEchoRes)
}

// TestFromZeroToZero: the first job starts a pod, and when no jobs are left the last pod is
// removed.
func TestFromZeroToZero(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	server := jobserver.Gearmand(t)
	p := pool(namespace(t), func(s *spec) {
		s.Servers = []v1alpha1.ServerAddress{v1alpha1.ServerAddress(server.Addr)}
		s.Scaling = &v1alpha1.ScalingSpec{
			JobsPerReplica: new(int32(2)), IdleSeconds: new(int32(1)), PollSeconds: new(int32(1)),
		}
	})
	create(t, p)
	g.Eventually(condition(t, p, v1alpha1.ConditionReady), eventually).Should(Equal("True AsExpected"))
	g.Expect(replicas(t, p)()).To(BeEquivalentTo(0))

	c := dial(t, server.Addr)
	c.submit("resize", 1)
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(1))

	w := dial(t, server.Addr)
	w.write(proto.AppendCanDo(nil, "resize"))
	w.complete(w.grab())
	g.Eventually(replicas(t, p), 2*eventually).Should(BeEquivalentTo(0))
	g.Eventually(reasons(t, p), eventually).Should(ContainElement("Scaled"))

	var got v1alpha1.GearmanWorkerPool
	if err := k8s.Get(t.Context(), client.ObjectKeyFromObject(p), &got); err != nil {
		t.Fatal(err)
	}
	if got.Status.Decision.Reason == "" || got.Status.Decision.Message == "" || got.Status.LastScaleTime == nil ||
		len(got.Status.Servers) != 1 {
		t.Errorf("the status explains nothing: %+v", got.Status)
	}
}

// TestVictimsAreIdle: two of four pods are busy. The two idle ones are marked in one round and
// removed in the next.
func TestVictimsAreIdle(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	server := jobserver.Gearmand(t)
	p := pool(namespace(t), func(s *spec) {
		s.Servers = []v1alpha1.ServerAddress{v1alpha1.ServerAddress(server.Addr)}
		s.MinReplicas = 4
		s.Scaling = &v1alpha1.ScalingSpec{
			PollSeconds: new(int32(1)), JobSeconds: new(int32(5)), TargetWaitSeconds: new(int32(60)),
		}
	})
	create(t, p)
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(4))

	dial(t, server.Addr).submit("resize", 2)
	busy := map[string]bool{}
	for i, pod := range pods(t, p, 4) {
		busy[pod.Name] = i%2 == 0
		startPod(t, pod, server.Addr, busy[pod.Name])
	}
	g.Eventually(condition(t, p, v1alpha1.ConditionReconciling), eventually).Should(Equal("False AsExpected"))

	update(t, p, func(s *spec) { s.MinReplicas = 0 })
	g.Eventually(replicas(t, p), 3*eventually).Should(BeNumerically("<", 4))
	if n := replicas(t, p)(); n < 2 {
		t.Errorf("%d replicas are left for two running jobs", n)
	}
	// The ReplicaSet controller has removed pods by their marks.
	var left []string
	g.Eventually(func() []string {
		left = nil
		for _, pod := range pods(t, p, 0) {
			if pod.DeletionTimestamp == nil {
				left = append(left, pod.Name)
			}
		}
		return left
	}, eventually).Should(HaveLen(int(replicas(t, p)())))
	for name, works := range busy {
		if works && !slices.Contains(left, name) {
			t.Errorf("%s worked on a job and was taken; of %v these are left: %v", name, busy, left)
		}
	}
}

// pods waits until the pool has at least n pods and returns them.
func pods(t *testing.T, p *v1alpha1.GearmanWorkerPool, n int) []*corev1.Pod {
	t.Helper()
	var list corev1.PodList
	NewWithT(t).Eventually(func() int {
		if err := k8s.List(
			t.Context(), &list, client.InNamespace(p.Namespace), client.MatchingLabels{v1alpha1.LabelPool: p.Name},
		); err != nil {
			t.Fatal(err)
		}
		return len(list.Items)
	}, eventually).Should(BeNumerically(">=", n))
	out := make([]*corev1.Pod, len(list.Items))
	for i := range list.Items {
		out[i] = &list.Items[i]
	}
	return out
}

// startPod acts as the kubelet for a pod with the worker runtime in it: it is ready, and a
// connection carries its telemetry.
func startPod(t *testing.T, pod *corev1.Pod, server string, busy bool) *peer {
	t.Helper()
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1", Conditions: []corev1.PodCondition{
		{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()},
	}}
	if err := k8s.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	r, err := telemetry.NewReporter(string(pod.UID), pod.Name, time.Now(), 1, []string{"resize"})
	if err != nil {
		t.Fatal(err)
	}
	w := dial(t, server)
	w.reporter = r
	w.write(proto.AppendCanDo(nil, "resize"))
	if busy {
		w.assigned = w.grab()
	}
	w.announce(busy)
	return w
}

// announce reports, via the connection's client id, that its pod begins (or ends) a job.
func (p *peer) announce(busy bool) {
	p.t.Helper()
	now := time.Now()
	switch {
	case busy:
		p.began = now
		p.reporter.Start("resize", now)
	case p.assigned != nil:
		p.reporter.End("resize", p.began, now, telemetry.OK)
	}
	id, _ := p.reporter.Next(now)
	p.write(proto.AppendSetClientID(nil, id))
}

// TestSilentServer: while a job server is silent the pool does not scale down, it still scales up,
// and a condition names the job server. Then everything recovers.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	good, silent := jobserver.Gearmand(t), jobserver.Gearmand(t)
	p := pool(namespace(t), func(s *spec) {
		s.Servers = []v1alpha1.ServerAddress{v1alpha1.ServerAddress(good.Addr), v1alpha1.ServerAddress(silent.Addr)}
		s.Scaling = &v1alpha1.ScalingSpec{
			JobsPerReplica: new(int32(1)), IdleSeconds: new(int32(1)), PollSeconds: new(int32(1)),
		}
	})
	create(t, p)
	dial(t, good.Addr).submit("resize", 1)
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(1))
	w := dial(t, good.Addr)
	w.write(proto.AppendCanDo(nil, "resize"))

	if err := silent.Pause(); err != nil {
		t.Fatal(err)
	}
	g.Eventually(
		condition(t, p, v1alpha1.ConditionJobServersReachable), eventually,
	).Should(Equal("False SomeDoNotAnswer"))
	w.complete(w.grab())
	g.Consistently(replicas(t, p), 15*time.Second, time.Second).Should(
		BeNumerically(">=", 1), "nothing shrinks on half an answer",
	)
	dial(t, good.Addr).submit("resize", 3)
	g.Eventually(replicas(t, p), eventually).Should(BeNumerically(">=", 3), "growth goes on")

	if err := silent.Resume(); err != nil {
		t.Fatal(err)
	}
	g.Eventually(condition(t, p, v1alpha1.ConditionJobServersReachable), eventually).Should(Equal("True AllAnswer"))
	for range 3 {
		w.complete(w.grab())
	}
	g.Eventually(replicas(t, p), 3*eventually).Should(BeEquivalentTo(0))
}

// TestNeverAnswered: an operator that starts while a job server hangs, or is gone, reports that,
// rather than that it has not polled it yet.
func TestNeverAnswered(t *testing.T) {
	t.Parallel()
	hung := jobserver.Gearmand(t)
	if err := hung.Pause(); err != nil {
		t.Fatal(err)
	}
	for name, server := range map[string]string{"hangs": hung.Addr, "gone": "127.0.0.1:1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			p := pool(
				namespace(t), func(s *spec) { s.Servers = []v1alpha1.ServerAddress{v1alpha1.ServerAddress(server)} },
			)
			create(t, p)
			g.Eventually(
				condition(t, p, v1alpha1.ConditionJobServersReachable), eventually,
			).Should(Equal("False NoneAnswers"))
			g.Eventually(
				condition(t, p, v1alpha1.ConditionScalingActive), eventually,
			).Should(Equal("False NoneAnswers"))
		})
	}
}
