//go:build e2e

package lifecycle

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"

	"github.com/gearman-operator/gearman-operator/test/cluster"
)

// inventory lists every object of the cluster, of every kind that its API server has, as
// "kind.group namespace/name". It leaves out the objects of one namespace and those that come and
// go by themselves (events, leases of nodes, metrics).
func inventory(ctx context.Context, c *cluster.Cluster, without string) ([]string, error) {
	lists, err := c.API.Discovery().ServerPreferredResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, err
	}
	api, err := metadata.NewForConfig(c.Config)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for i := range list.APIResources {
			r := &list.APIResources[i]
			if !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "delete") || r.Name == "events" {
				continue
			}
			objects, err := api.Resource(gv.WithResource(r.Name)).List(ctx, metav1.ListOptions{})
			if errors.IsNotFound(err) {
				continue // this kind is just being removed
			}
			if err != nil {
				return nil, fmt.Errorf("listing %s: %w", r.Name, err)
			}
			for i := range objects.Items {
				o := &objects.Items[i]
				if o.Namespace == without || o.Namespace == "kube-node-lease" {
					continue
				}
				all = append(
					all,
					strings.TrimSuffix(r.Name+"."+gv.Group, ".")+" "+strings.TrimPrefix(o.Namespace+"/"+o.Name, "/"),
				)
			}
		}
	}
	slices.Sort(all)
	return all, nil
}

// added returns the objects of after that before lacks.
func added(before, after []string) []string {
	return slices.DeleteFunc(slices.Clone(after), func(o string) bool {
		_, found := slices.BinarySearch(before, o)
		return found
	})
}
