package kube

import (
	"fmt"
	"reflect"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/test/world/dice"
)

// Server is the simulated API server. Stored objects are never changed: a write replaces one, so
// that readers need no copies.
type Server struct {
	Scheme  *runtime.Scheme
	Weather *Weather
	Skew    time.Duration // how far its clock is ahead; set before first use

	mu        sync.Mutex // never held across a sleep
	dice      *dice.Dice
	version   int64
	objects   map[string]map[types.NamespacedName]client.Object
	watches   map[string][]*watch
	observers []func(Event)
	owned     map[types.UID]map[string][]string // annotations of pods, by field owner
	fields    fieldManagers
	unknown   []string // requests that are not simulated
}

// EventType is the kind of change of an object.
type EventType string

// The event types.
const (
	Added    EventType = "added"
	Modified EventType = "modified"
	Deleted  EventType = "deleted"
)

// Event is one change of one object. Old is nil for Added; New is the last state for Deleted.
type Event struct {
	Type     EventType
	Kind     string
	Old, New client.Object
}

// The kinds that the server knows.
const (
	KindPool        = "GearmanWorkerPool"
	KindDeployment  = "Deployment"
	KindStatefulSet = "StatefulSet"
	KindPod         = "Pod"
	KindSecret      = "Secret"
)

// NewScheme returns a scheme with the types that the world uses and no others.
func NewScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	s.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.Pod{}, &corev1.PodList{}, &corev1.Secret{})
	metav1.AddToGroupVersion(s, corev1.SchemeGroupVersion)
	s.AddKnownTypes(
		appsv1.SchemeGroupVersion, &appsv1.Deployment{}, &appsv1.DeploymentList{}, &appsv1.StatefulSet{},
		&appsv1.StatefulSetList{},
	)
	metav1.AddToGroupVersion(s, appsv1.SchemeGroupVersion)
	if err := v1alpha1.AddToScheme(s); err != nil {
		panic(fmt.Sprintf("kube: register the pool: %v", err)) // a mistake in this program
	}
	return s
}

// NewServer returns an empty API server. Its latencies and uids come from seed.
func NewServer(seed uint64) *Server {
	return &Server{
		Scheme: NewScheme(), Weather: NewWeather(seed), dice: dice.New(seed),
		objects: map[string]map[types.NamespacedName]client.Object{}, watches: map[string][]*watch{},
		owned: map[types.UID]map[string][]string{},
	}
}

// Observe makes the server call f with each change at the moment it happens, in order. f must
// neither block nor call the server.
func (s *Server) Observe(f func(Event)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observers = append(s.observers, f)
}

func kindOf(o runtime.Object) string {
	switch o.(type) {
	case *v1alpha1.GearmanWorkerPool, *v1alpha1.GearmanWorkerPoolList:
		return KindPool
	case *appsv1.Deployment, *appsv1.DeploymentList:
		return KindDeployment
	case *appsv1.StatefulSet, *appsv1.StatefulSetList:
		return KindStatefulSet
	case *corev1.Pod, *corev1.PodList:
		return KindPod
	case *corev1.Secret:
		return KindSecret
	}
	panic(fmt.Sprintf("kube: no kind for %T", o))
}

func gvkOf(kind string) schema.GroupVersionKind {
	switch kind {
	case KindPool:
		return v1alpha1.SchemeGroupVersion.WithKind(kind)
	case KindDeployment, KindStatefulSet:
		return appsv1.SchemeGroupVersion.WithKind(kind)
	}
	return corev1.SchemeGroupVersion.WithKind(kind)
}

func resourceOf(kind string) schema.GroupResource {
	plural := map[string]string{
		KindPool: "gearmanworkerpools", KindDeployment: "deployments", KindStatefulSet: "statefulsets", KindPod: "pods",
		KindSecret: "secrets",
	}
	return schema.GroupResource{Group: gvkOf(kind).Group, Resource: plural[kind]}
}

func keyOf(o client.Object) types.NamespacedName { return client.ObjectKeyFromObject(o) }

func copyOf[T client.Object](o T) T { return o.DeepCopyObject().(T) }

// into copies an object into the caller's.
func into(dst, src client.Object) {
	reflect.ValueOf(dst).Elem().Set(reflect.ValueOf(src.DeepCopyObject()).Elem())
}

// read returns the stored object; it must not be changed.
func (s *Server) read(kind string, key types.NamespacedName) (client.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.get(kind, key)
}

func (s *Server) get(kind string, key types.NamespacedName) (client.Object, error) {
	o := s.objects[kind][key]
	if o == nil {
		return nil, apierrors.NewNotFound(resourceOf(kind), key.Name)
	}
	return o, nil
}

// create stores a new object and returns it.
func (s *Server) create(o client.Object) (client.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind, key := kindOf(o), keyOf(o)
	if s.objects[kind][key] != nil {
		return nil, apierrors.NewAlreadyExists(resourceOf(kind), key.Name)
	}
	o = copyOf(o)
	o.SetUID(s.uid(kind + " " + key.String()))
	o.SetGeneration(1)
	o.SetCreationTimestamp(metav1.NewTime(s.now()).Rfc3339Copy())
	if err := admit(o, nil); err != nil {
		return nil, err
	}
	s.store(Event{Type: Added, Kind: kind, New: o})
	return o, nil
}

func (s *Server) uid(of string) types.UID {
	a, b := s.dice.Uint64(of), s.dice.Uint64(of)
	return types.UID(
		fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a>>4&0xfff, b>>52, b&0xffffffffffff),
	)
}

// update replaces an object with what change makes of a copy, and returns it. If change changes
// nothing, nothing is written.
func (s *Server) update(
	kind string, key types.NamespacedName, change func(client.Object) (client.Object, error),
) (client.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.get(kind, key)
	if err != nil {
		return nil, err
	}
	o, err := change(copyOf(old))
	if err != nil {
		return nil, err
	}
	if equality.Semantic.DeepEqual(old, o) {
		return old, nil
	}
	if err := admit(o, old); err != nil {
		return nil, err
	}
	if !equality.Semantic.DeepEqual(specOf(old), specOf(o)) || old.GetDeletionTimestamp() == nil &&
		o.GetDeletionTimestamp() != nil {
		o.SetGeneration(old.GetGeneration() + 1)
	}
	s.store(Event{Type: Modified, Kind: kind, Old: old, New: o})
	return o, nil
}

// remove removes an object.
func (s *Server) remove(kind string, key types.NamespacedName) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.get(kind, key)
	if err != nil {
		return err
	}
	delete(s.objects[kind], key)
	delete(s.owned, old.GetUID())
	s.version++
	last := copyOf(old)
	last.SetResourceVersion(fmt.Sprint(s.version))
	s.emit(Event{Type: Deleted, Kind: kind, Old: old, New: last})
	return nil
}

func (s *Server) store(e Event) {
	s.version++
	e.New.SetResourceVersion(fmt.Sprint(s.version))
	e.New.GetObjectKind().SetGroupVersionKind(gvkOf(e.Kind))
	if s.objects[e.Kind] == nil {
		s.objects[e.Kind] = map[types.NamespacedName]client.Object{}
	}
	s.objects[e.Kind][keyOf(e.New)] = e.New
	s.emit(e)
}

func (s *Server) emit(e Event) {
	for _, f := range s.observers {
		f(e)
	}
	for _, w := range s.watches[e.Kind] {
		w.put(e)
	}
}

// specOf returns the part of an object whose changes create a new generation.
func specOf(o client.Object) any {
	switch o := o.(type) {
	case *v1alpha1.GearmanWorkerPool:
		return &o.Spec
	case *appsv1.Deployment:
		return &o.Spec
	case *appsv1.StatefulSet:
		return &o.Spec
	}
	return nil // nothing here reads the generation of a pod
}

// now returns the time of the API server's clock, which its controllers share.
func (s *Server) now() time.Time { return time.Now().Add(s.Skew) }
