package apiserver

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// The namespaces in which tests run operators of their own, as processes. The suite's operator
// ignores them.
const (
	soloUpgrade = "solo-upgrade"
	soloLeader  = "solo-leader"
	soloRestart = "solo-restart"
	soloDrift   = "solo-drift"
	soloExplain = "solo-explain"
	soloLag     = "solo-lag"
)

var solo = []string{soloUpgrade, soloLeader, soloRestart, soloDrift, soloExplain, soloLag}

// managerBinary builds the operator once.
var managerBinary = sync.OnceValues(func() (string, error) { return build("manager") })

// build builds a program of the project in the suite's folder.
func build(name string) (string, error) {
	path := filepath.Join(binaries, name)
	out, err := exec.Command("go", "build", "-trimpath", "-o", path, "../../cmd/"+name).CombinedOutput()
	if err != nil {
		return "", &buildError{out, err}
	}
	return path, nil
}

type buildError struct {
	out []byte
	err error
}

func (e *buildError) Error() string { return e.err.Error() + ": " + string(e.out) }

// operatorProcess is an operator of a test's own.
type operatorProcess struct {
	cmd  *exec.Cmd
	log  bytes.Buffer
	once sync.Once
}

// startOperator runs an operator for one namespace until the test ends.
func startOperator(t *testing.T, namespace string, args ...string) *operatorProcess {
	t.Helper()
	path, err := managerBinary()
	if err != nil {
		t.Fatal(err)
	}
	o := &operatorProcess{}
	o.cmd = exec.Command(path, append([]string{
		"--watch-namespaces=" + namespace, "--metrics-bind-address=0", "--health-probe-bind-address=0",
		"--allowed-job-servers=127.0.0.0/8", "--log-format=text",
	}, args...)...)
	kubeconfig := clusterKubeconfig
	if namespace == soloUpgrade {
		kubeconfig = namespacedKubeconfig
	}
	o.cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	o.cmd.Stderr = &o.log
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		o.stop(os.Kill)
		if t.Failed() {
			t.Logf("log of the operator %v:\n%s", o.cmd.Args[1:], o.log.String())
		}
	})
	return o
}

// stop signals the operator and waits for its end, whatever its exit status.
func (o *operatorProcess) stop(signal os.Signal) {
	o.once.Do(func() {
		_ = o.cmd.Process.Signal(signal)
		_ = o.cmd.Wait()
	})
}

func named(t *testing.T, name string) string {
	t.Helper()
	if err := k8s.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil &&
		!apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	return name
}

// TestUpgradeRollsNoPod: an operator with another runtime image leaves a pool's pods unchanged
// until the pool changes. With --runtime-rollout=Immediate it replaces them.
func TestUpgradeRollsNoPod(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := pool(named(t, soloUpgrade), func(s *spec) { s.Scaling = manual(1); s.Runtime = execRuntime("cat") })
	injected := func() string {
		d, err := deployment(t.Context(), p)
		if err != nil {
			return err.Error()
		}
		return d.Spec.Template.Spec.InitContainers[0].Image
	}
	replicaSets := func() int {
		var list appsv1.ReplicaSetList
		if err := k8s.List(t.Context(), &list, client.InNamespace(p.Namespace)); err != nil {
			return -1
		}
		return len(list.Items)
	}
	first := startOperator(t, p.Namespace, "--runtime-image=op:1")
	create(t, p)
	g.Eventually(replicaSets, eventually).Should(Equal(1))
	noted := func() string {
		var now v1alpha1.GearmanWorkerPool
		if err := k8s.Get(t.Context(), client.ObjectKeyFromObject(p), &now); err != nil {
			return err.Error()
		}
		return now.Status.RuntimeImage
	}
	g.Eventually(noted, eventually).Should(Equal("op:1"), "the next operator reads it there")
	first.stop(os.Interrupt)

	second := startOperator(t, p.Namespace, "--runtime-image=op:2")
	update(t, p, func(s *spec) { s.Scaling = manual(2) })
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(2), "the new operator works")
	g.Consistently(injected, time.Second).Should(Equal("op:1"))
	g.Expect(replicaSets()).To(Equal(1))
	update(t, p, func(s *spec) { s.Image = "worker:2" })
	g.Eventually(injected, eventually).Should(Equal("op:2"))
	second.stop(os.Interrupt)

	startOperator(t, p.Namespace, "--runtime-image=op:3", "--runtime-rollout=Immediate")
	g.Eventually(injected, eventually).Should(Equal("op:3"))
}

// TestLeaderHandOver: only one of two operators works. When it ends, the other takes over at once,
// since the lease is released.
func TestLeaderHandOver(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	p := pool(named(t, soloLeader), func(s *spec) { s.Scaling = manual(1) })
	create(t, p)
	args := []string{"--runtime-image=op:1", "--leader-elect", "--leader-election-namespace=gearman-system"}
	first := startOperator(t, p.Namespace, args...)
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(1))
	startOperator(t, p.Namespace, args...)

	first.stop(os.Interrupt)
	update(t, p, func(s *spec) { s.Scaling = manual(3) })
	g.Eventually(replicas(t, p), eventually).Should(BeEquivalentTo(3))
}

// TestRestartWritesNothing: an operator that starts when nothing has changed writes nothing, not
// even that it has not polled the job servers yet.
func TestRestartWritesNothing(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	server := jobserver.Gearmand(t)
	p := pool(
		named(t, soloRestart),
		func(s *spec) { s.Servers = []v1alpha1.ServerAddress{v1alpha1.ServerAddress(server.Addr)} },
	)
	version := func() string {
		var got v1alpha1.GearmanWorkerPool
		if err := k8s.Get(t.Context(), client.ObjectKeyFromObject(p), &got); err != nil {
			t.Fatal(err)
		}
		return got.ResourceVersion
	}
	first := startOperator(t, p.Namespace, "--runtime-image=op:1")
	create(t, p)
	g.Eventually(condition(t, p, v1alpha1.ConditionReady), eventually).Should(Equal("True AsExpected"))
	first.stop(os.Interrupt)
	before := version()

	metrics := freePort(t)
	startOperator(t, p.Namespace, "--runtime-image=op:1", "--metrics-secure=false", "--metrics-bind-address="+metrics)
	g.Eventually(func() (string, error) {
		response, err := http.Get("http://" + metrics + "/statusz")
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}, eventually).Should(ContainSubstring(`"wholeSamples":1`))
	g.Consistently(version, 2*time.Second, 100*time.Millisecond).Should(Equal(before))
}
