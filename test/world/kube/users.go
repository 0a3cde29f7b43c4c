package kube

import (
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Objects are all objects of a kind as they are, by name. They must not be changed.
func (s *Server) Objects(kind string) []client.Object { return s.list(kind) }

// Object is an object as it is, nil if there is none. It must not be changed.
func (s *Server) Object(kind string, key types.NamespacedName) client.Object {
	o, err := s.read(kind, key)
	if err != nil {
		return nil
	}
	return o
}

// UserCreate is what a user does with kubectl create.
func (s *Server) UserCreate(o client.Object) error {
	_, err := s.create(o)
	return err
}

// UserEdit is what a user does with kubectl edit. It reports whether the API server took it.
func (s *Server) UserEdit(kind string, key types.NamespacedName, user string, change func(client.Object)) bool {
	_, err := s.edit(kind, key, user, change)
	return err == nil
}

// UserDelete is what a user does with kubectl delete. It reports whether there was such an object.
func (s *Server) UserDelete(kind string, key types.NamespacedName) bool {
	return s.delete(kind, key) == nil
}

// Remove takes an object away with no grace, as the garbage collector does with the pods of a node
// that is gone.
func (s *Server) Remove(kind string, key types.NamespacedName) bool {
	return s.remove(kind, key) == nil
}
