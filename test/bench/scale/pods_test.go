package scale

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

// jobTime is how long each job takes.
const jobTime = 500 * time.Millisecond

// controllerFlags keep the kube-controller-manager from being the bottleneck: its default is 20
// requests a second.
var controllerFlags = []string{
	"--kube-api-qps=5000", "--kube-api-burst=10000", "--concurrent-deployment-syncs=20",
	"--concurrent-replicaset-syncs=20",
}

// kubelet marks pods ready and processes their jobs.
type kubelet struct {
	client kubernetes.Interface

	mu      sync.Mutex
	homes   map[key]home
	workers map[key]context.CancelFunc
	ready   int
}

// key names a pod or a pool.
type key struct{ namespace, name string }

// home is where a pool's jobs are.
type home struct{ server, function string }

func newKubelet(c kubernetes.Interface) *kubelet {
	return &kubelet{client: c, homes: map[key]home{}, workers: map[key]context.CancelFunc{}}
}

// house records where the jobs of a pool are before the pool is created.
func (k *kubelet) house(p *v1alpha1.GearmanWorkerPool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.homes[key{p.Namespace, p.Name}] = home{string(p.Spec.Servers[0]), string(p.Spec.Function)}
}

// working returns the number of pods that are connected to their job server.
func (k *kubelet) working() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ready
}

// run runs the kubelet until ctx ends. It reports the changes of Deployments to s.
func (k *kubelet) run(ctx context.Context, s *scales) {
	factory := informers.NewSharedInformerFactory(k.client, 0)
	pods, deployments := factory.Core().V1().Pods().Informer(), factory.Apps().V1().Deployments().Informer()
	// The only error of these is that the informer has already started, which it hasn't.
	_ = pods.SetTransform(func(o any) (any, error) {
		if p, ok := o.(*corev1.Pod); ok {
			p.ManagedFields = nil
		}
		return o, nil
	})
	_ = deployments.SetTransform(func(o any) (any, error) {
		d, ok := o.(*appsv1.Deployment)
		if !ok {
			return o, nil
		}
		return &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: d.Namespace, Name: d.Name, UID: d.UID, ResourceVersion: d.ResourceVersion,
			},
			Spec: appsv1.DeploymentSpec{Replicas: d.Spec.Replicas},
		}, nil
	})
	var wg sync.WaitGroup
	fresh := make(chan *corev1.Pod, 20_000)
	for range 16 {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case p := <-fresh:
					k.start(ctx, &wg, p)
				}
			}
		})
	}
	_, _ = pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { fresh <- o.(*corev1.Pod) },
		DeleteFunc: func(o any) { k.stop(o) },
	})
	_, _ = deployments.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, now any) { s.changed(before.(*appsv1.Deployment), now.(*appsv1.Deployment)) },
	})
	factory.Start(ctx.Done())
	<-ctx.Done()
	factory.Shutdown()
	wg.Wait()
}

// start makes a pod ready and runs its worker.
func (k *kubelet) start(ctx context.Context, wg *sync.WaitGroup, p *corev1.Pod) {
	ctx, cancel := context.WithCancel(ctx)
	k.mu.Lock()
	k.workers[key{p.Namespace, p.Name}] = cancel
	k.mu.Unlock()
	p = p.DeepCopy()
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1", Conditions: []corev1.PodCondition{
		{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()},
	}}
	if _, err := k.client.CoreV1().Pods(p.Namespace).UpdateStatus(ctx, p, metav1.UpdateOptions{}); err != nil {
		cancel() // the pod is gone already; a wait that needs it would fail
		return
	}
	wg.Go(func() {
		defer cancel()
		_ = k.work(ctx, p) // a wait that needs the worker fails if it ends too soon
	})
}

func (k *kubelet) stop(o any) {
	p, ok := o.(*corev1.Pod)
	if gone, is := o.(cache.DeletedFinalStateUnknown); is {
		p, ok = gone.Obj.(*corev1.Pod)
	}
	if !ok {
		return
	}
	name := key{p.Namespace, p.Name}
	k.mu.Lock()
	defer k.mu.Unlock()
	if cancel := k.workers[name]; cancel != nil {
		cancel()
		delete(k.workers, name)
	}
}

// work is a worker that reports telemetry.
func (k *kubelet) work(ctx context.Context, p *corev1.Pod) error {
	k.mu.Lock()
	home := k.homes[key{p.Namespace, p.Labels[v1alpha1.LabelPool]}]
	k.mu.Unlock()
	r, err := telemetry.NewReporter(string(p.UID), p.Name, time.Now(), 1, []string{home.function})
	if err != nil {
		return err
	}
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", home.server)
	if err != nil {
		return err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	k.mu.Lock()
	k.ready++
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		k.ready--
		k.mu.Unlock()
	}()
	conn := proto.NewConn(nc, proto.Limits{})
	grab := func(b []byte) error {
		id, _ := r.Next(time.Now())
		_, err := conn.Write(proto.AppendEmpty(proto.AppendSetClientID(b, id), proto.Request, proto.TypeGrabJob))
		return err
	}
	if err := grab(proto.AppendCanDo(nil, home.function)); err != nil {
		return err
	}
	for {
		pkt, err := conn.Next()
		if err != nil {
			return err
		}
		switch pkt.Type {
		case proto.TypeNoJob:
			_, err = conn.Write(proto.AppendEmpty(nil, proto.Request, proto.TypePreSleep))
		case proto.TypeNoop:
			_, err = conn.Write(proto.AppendEmpty(nil, proto.Request, proto.TypeGrabJob))
		case proto.TypeJobAssign:
			handle, _, _ := bytes.Cut(pkt.Data, []byte{0})
			handle = bytes.Clone(handle)
			began := time.Now()
			r.Start(home.function, began)
			id, _ := r.Next(began)
			if _, err := conn.Write(proto.AppendSetClientID(nil, id)); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(jobTime):
			}
			r.End(home.function, began, time.Now(), telemetry.OK)
			err = grab(proto.AppendWork(nil, proto.Request, proto.TypeWorkComplete, handle, ""))
		}
		if err != nil {
			return err
		}
	}
}

// introduce makes a job server know the functions of its pools, as if a worker had registered them.
func (b *bench) introduce(t *testing.T, server int) {
	t.Helper()
	nc, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", b.servers[server].Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	var packets []byte
	for i := server; i < b.pools; i += servers {
		packets = proto.AppendCanDo(packets, function(i))
	}
	conn := proto.NewConn(nc, proto.Limits{})
	if _, err := conn.Write(proto.AppendEcho(packets, proto.Request, "known")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Next(); err != nil {
		t.Fatal(err)
	}
}
