package apiserver

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// TestCommandThatNoPodHas: the command's interpreter is missing in each pod. The first job orders a
// pod, which reports that it can't run jobs; sixty more order two others. No job fails, and all
// complete once the command can run.
func TestCommandThatNoPodHas(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	server := jobserver.Gearmand(t)
	command := filepath.Join(t.TempDir(), "command")
	script := func(interpreter string) error {
		whole := command + ".new"
		if err := os.WriteFile(
			whole, []byte("#!"+interpreter+"\ncat\n"), 0o700,
		); err != nil { // it must be executable
			return err
		}
		return os.Rename(whole, command)
	}
	g.Expect(script("/nonexistent/interpreter")).To(Succeed())
	p := pool(namespace(t), func(s *spec) {
		s.Servers = []v1alpha1.ServerAddress{v1alpha1.ServerAddress(server.Addr)}
		s.MaxReplicas = 60
		s.Scaling = &v1alpha1.ScalingSpec{PollSeconds: new(int32(1))}
	})
	create(t, p)
	startKubeletOf(t, p, server.Addr, "exec", "--", command)
	client := dial(t, server.Addr)
	client.submit("resize", 1)
	g.Eventually(condition(t, p, v1alpha1.ConditionWorkersUnfit), eventually).Should(Equal("True JobsNotStarting"))
	g.Expect(message(t, p, v1alpha1.ConditionWorkersUnfit)()).To(
		ContainSubstring("pool-"), "the condition names the pod",
	)
	g.Eventually(condition(t, p, v1alpha1.ConditionReady), eventually).Should(Equal("False JobsNotStarting"))

	client.submit("resize", 60)
	g.Consistently(replicas(t, p), 40*time.Second, 200*time.Millisecond).Should(BeNumerically("<=", 3))
	g.Expect(count(t, server.Addr, jobsHeld)()).To(BeEquivalentTo(61), "no job failed and none is lost")

	g.Expect(script("/bin/sh")).To(Succeed())
	g.Eventually(count(t, server.Addr, jobsHeld), 2*eventually).Should(BeEquivalentTo(0))
	g.Eventually(condition(t, p, v1alpha1.ConditionWorkersUnfit), eventually).Should(HavePrefix("False"))
}

// TestServiceDown: the HTTP service that runs the jobs goes down. Other pods would not reach it
// either, so replicas stay unchanged however many jobs wait, and the jobs complete once the service
// is back.
func TestServiceDown(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	server := jobserver.Gearmand(t)
	addr, err := jobserver.FreeAddr()
	g.Expect(err).NotTo(HaveOccurred())
	stop := serve(t, addr)
	p := pool(namespace(t), func(s *spec) {
		s.Servers = []v1alpha1.ServerAddress{v1alpha1.ServerAddress(server.Addr)}
		s.MinReplicas, s.MaxReplicas = 2, 60
		s.Scaling = &v1alpha1.ScalingSpec{PollSeconds: new(int32(1))}
	})
	create(t, p)
	startKubeletOf(t, p, server.Addr, "http", "--", "http://"+addr+"/")
	g.Eventually(count(t, server.Addr, registered), eventually).Should(BeEquivalentTo(2))
	stop()
	client := dial(t, server.Addr)
	client.submit("resize", 2)
	g.Eventually(condition(t, p, v1alpha1.ConditionReady), eventually).Should(Equal("False ServiceUnreachable"))

	client.submit("resize", 60)
	g.Consistently(replicas(t, p), 40*time.Second, 200*time.Millisecond).Should(BeEquivalentTo(2))
	g.Expect(count(t, server.Addr, jobsHeld)()).To(BeEquivalentTo(62), "no job failed and none is lost")

	serve(t, addr)
	g.Eventually(count(t, server.Addr, jobsHeld), 2*eventually).Should(BeEquivalentTo(0))
	g.Eventually(condition(t, p, v1alpha1.ConditionWorkersUnfit), eventually).Should(HavePrefix("False"))
}

// serve runs an HTTP service that accepts every job, until stop is called or the test ends.
func serve(t *testing.T, addr string) (stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{
		ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = h.Serve(l) // it returns when it is closed
	}()
	stop = sync.OnceFunc(func() {
		_ = h.Close()
		<-ended
	})
	t.Cleanup(stop)
	return stop
}

func jobsHeld(f admin.FunctionStatus) uint64   { return f.Total }
func registered(f admin.FunctionStatus) uint64 { return f.Workers }

// count returns a figure of a job server's functions, added up.
func count(t *testing.T, addr string, of func(admin.FunctionStatus) uint64) func() (uint64, error) {
	t.Helper()
	return func() (n uint64, err error) {
		a, err := admin.Dial(t.Context(), addr, admin.Options{})
		if err != nil {
			return 0, err
		}
		defer a.Close()
		rows, err := a.Status(t.Context())
		for _, r := range rows {
			n += of(r)
		}
		return n, err
	}
}
