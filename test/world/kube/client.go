package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Client is the operator's client: it reads from a cache, or from the API server if it has no
// cache, and writes to the API server.
type Client struct {
	server *Server
	cache  *Cache
	late   *atomic.Int64 // how many nanoseconds its writes are late; nil: not at all
}

// NewClient returns a client that reads from cache, or from the API server if cache is nil.
func NewClient(s *Server, cache *Cache) *Client { return &Client{server: s, cache: cache} }

var _ client.Client = &Client{}

// request carries out op. A late write arrives even if its caller doesn't wait for it any more.
func (c *Client) request(ctx context.Context, verb, kind, name string, op func() error) error {
	if c.late != nil && verb != "get" && verb != "list" {
		if d := time.Duration(c.late.Load()); d > 0 {
			ctx = context.WithoutCancel(ctx)
			sleep(ctx, d)
		}
	}
	return c.server.Weather.request(ctx, verb, kind, name, op)
}

// Get implements client.Client.
func (c *Client) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if _, secret := obj.(*corev1.Secret); c.cache != nil && !secret {
		return c.cache.Get(ctx, key, obj, opts...)
	}
	kind := kindOf(obj)
	return c.request(ctx, "get", kind, key.Name, func() error {
		o, err := c.server.read(kind, key)
		if err == nil {
			into(obj, o)
		}
		return err
	})
}

// List implements client.Client.
func (c *Client) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if c.cache != nil {
		return c.cache.List(ctx, list, opts...)
	}
	o := (&client.ListOptions{}).ApplyOptions(opts)
	kind := kindOf(list)
	return c.request(ctx, "list", kind, "", func() error {
		var items []runtime.Object
		for _, obj := range c.server.list(kind) {
			if (o.Namespace == "" || obj.GetNamespace() == o.Namespace) && (o.LabelSelector == nil ||
				o.LabelSelector.Matches(labelSet(obj))) {
				items = append(items, copyOf(obj))
			}
		}
		return meta.SetList(list, items)
	})
}

// Apply implements client.Client.
func (c *Client) Apply(ctx context.Context, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
	o := (&client.ApplyOptions{}).ApplyOptions(opts)
	return c.apply(ctx, obj, "", o.FieldManager, o.Force != nil && *o.Force)
}

func (c *Client) apply(
	ctx context.Context, obj runtime.ApplyConfiguration, subresource, owner string, force bool,
) error {
	u, err := asUnstructured(obj)
	if err != nil {
		return err
	}
	verb := "apply"
	if subresource != "" {
		verb += " " + subresource
	}
	return c.request(ctx, verb, u.GetKind(), u.GetName(), func() error {
		o, err := c.server.apply(u, subresource, owner, force)
		if err != nil {
			return err
		}
		answer, err := json.Marshal(o)
		if err != nil {
			return err
		}
		return json.Unmarshal(answer, obj)
	})
}

func asUnstructured(obj any) (*unstructured.Unstructured, error) {
	raw, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{}
	return u, u.UnmarshalJSON(raw)
}

// Create implements client.Client.
func (c *Client) Create(ctx context.Context, obj client.Object, _ ...client.CreateOption) error {
	return c.request(ctx, "create", kindOf(obj), obj.GetName(), func() error {
		o, err := c.server.create(obj)
		if err == nil {
			into(obj, o)
		}
		return err
	})
}

// Delete implements client.Client.
func (c *Client) Delete(ctx context.Context, obj client.Object, _ ...client.DeleteOption) error {
	return c.request(
		ctx, "delete", kindOf(obj), obj.GetName(), func() error { return c.server.delete(kindOf(obj), keyOf(obj)) },
	)
}

// Patch implements client.Client. It simulates merge patches of a pod's annotations.
func (c *Client) Patch(ctx context.Context, obj client.Object, patch client.Patch, _ ...client.PatchOption) error {
	if kindOf(obj) != KindPod || patch.Type() != types.MergePatchType {
		return c.server.notPlayed("patch " + kindOf(obj))
	}
	raw, err := patch.Data(obj)
	if err != nil {
		return err
	}
	var p struct {
		Metadata struct{ Annotations map[string]*string }
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return c.server.notPlayed("patch Pod with " + string(raw))
	}
	return c.request(ctx, "patch", KindPod, obj.GetName(), func() error {
		o, err := c.server.edit(KindPod, keyOf(obj), "patch", func(o client.Object) {
			annotations := maps.Clone(o.GetAnnotations())
			if annotations == nil {
				annotations = map[string]string{}
			}
			for key, value := range p.Metadata.Annotations {
				if delete(annotations, key); value != nil {
					annotations[key] = *value
				}
			}
			o.SetAnnotations(annotations)
		})
		if err == nil {
			into(obj, o)
		}
		return err
	})
}

// Update implements client.Client; it is not simulated.
func (c *Client) Update(context.Context, client.Object, ...client.UpdateOption) error {
	return c.server.notPlayed("update")
}

// DeleteAllOf implements client.Client; it is not simulated.
func (c *Client) DeleteAllOf(context.Context, client.Object, ...client.DeleteAllOfOption) error {
	return c.server.notPlayed("deletecollection")
}

// notPlayed reports a request that the operator has not made so far. A new kind of request must be
// simulated, and compared with the real API server. Until then the run fails, since otherwise its
// only effect might be an error in a log.
func (s *Server) notPlayed(verb string) error {
	s.mu.Lock()
	s.unknown = append(s.unknown, verb)
	s.mu.Unlock()
	return notPlayed(verb)
}

// Unknown returns the requests that came and are not simulated.
func (s *Server) Unknown() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.unknown)
}

func notPlayed(verb string) error { return fmt.Errorf("kube: %s is not played", verb) }

// Status implements client.Client.
func (c *Client) Status() client.SubResourceWriter { return c.SubResource("status") }

// SubResource implements client.Client.
func (c *Client) SubResource(name string) client.SubResourceClient { return &subresource{c, name} }

// Scheme implements client.Client.
func (c *Client) Scheme() *runtime.Scheme { return c.server.Scheme }

// RESTMapper implements client.Client.
func (c *Client) RESTMapper() meta.RESTMapper { return restMapper() }

// GroupVersionKindFor implements client.Client.
func (c *Client) GroupVersionKindFor(obj runtime.Object) (schema.GroupVersionKind, error) {
	return gvkOf(kindOf(obj)), nil
}

// IsObjectNamespaced implements client.Client.
func (c *Client) IsObjectNamespaced(runtime.Object) (bool, error) { return true, nil }

func restMapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []string{KindPool, KindDeployment, KindStatefulSet, KindPod, KindSecret} {
		m.Add(gvkOf(kind), meta.RESTScopeNamespace)
	}
	return m
}

type subresource struct {
	c    *Client
	name string
}

func (s *subresource) Get(context.Context, client.Object, client.Object, ...client.SubResourceGetOption) error {
	return s.c.server.notPlayed("get " + s.name)
}

func (s *subresource) Create(context.Context, client.Object, client.Object, ...client.SubResourceCreateOption) error {
	return s.c.server.notPlayed("create " + s.name)
}

func (s *subresource) Update(context.Context, client.Object, ...client.SubResourceUpdateOption) error {
	return s.c.server.notPlayed("update " + s.name)
}

// Patch simulates the merge patch of a scale: {"spec":{"replicas":n}}.
func (s *subresource) Patch(
	ctx context.Context, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption,
) error {
	if s.name != "scale" || patch.Type() != types.MergePatchType {
		return s.c.server.notPlayed("patch " + s.name)
	}
	raw, err := patch.Data(obj)
	if err != nil {
		return err
	}
	var scale struct{ Spec struct{ Replicas *int32 } }
	if err := json.Unmarshal(raw, &scale); err != nil {
		return err
	}
	kind := kindOf(obj)
	o := (&client.SubResourcePatchOptions{}).ApplyOptions(opts)
	return s.c.request(ctx, "patch scale", kind, obj.GetName(), func() error {
		_, err := s.c.server.edit(
			kind, keyOf(obj), o.FieldManager, func(o client.Object) { setReplicas(o, *scale.Spec.Replicas) },
		)
		if answer, ok := o.SubResourceBody.(*autoscalingv1.Scale); ok && err == nil {
			answer.Spec.Replicas = *scale.Spec.Replicas
		}
		return err
	})
}

func setReplicas(o client.Object, n int32) {
	switch o := o.(type) {
	case *appsv1.Deployment:
		o.Spec.Replicas = &n
	case *appsv1.StatefulSet:
		o.Spec.Replicas = &n
	}
}

func (s *subresource) Apply(
	ctx context.Context, obj runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption,
) error {
	o := (&client.SubResourceApplyOptions{}).ApplyOpts(opts)
	return s.c.apply(ctx, obj, s.name, o.FieldManager, o.Force != nil && *o.Force)
}

// delete deletes an object as the API server does: a pod on a node is marked and left to its
// kubelet, any other object is gone at once.
func (s *Server) delete(kind string, key types.NamespacedName) error {
	o, err := s.read(kind, key)
	if err != nil {
		return err
	}
	pod, ok := o.(*corev1.Pod)
	if !ok || pod.Spec.NodeName == "" || ended(pod) {
		return s.remove(kind, key)
	}
	_, err = s.update(kind, key, func(o client.Object) (client.Object, error) {
		p := o.(*corev1.Pod)
		seconds := int64(30)
		if p.Spec.TerminationGracePeriodSeconds != nil {
			seconds = *p.Spec.TerminationGracePeriodSeconds
		}
		if p.DeletionTimestamp != nil && seconds >= *p.DeletionGracePeriodSeconds {
			return p, nil // a second deletion can only shorten the first
		}
		p.DeletionTimestamp = &metav1.Time{Time: s.now().Add(time.Duration(seconds) * time.Second)}
		p.DeletionGracePeriodSeconds = &seconds
		return p, nil
	})
	return err
}

func ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}
