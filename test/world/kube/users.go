package kube

import (
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Objects returns all current objects of a kind, by name. They must not be changed.
func (s *Server) Objects(kind string) []client.Object { return s.list(kind) }

// Object returns a current object, or nil if there is none. It must not be changed.
func (s *Server) Object(kind string, key types.NamespacedName) client.Object {
	o, err := s.read(kind, key)
	if err != nil {
		return nil
	}
	return o
}

// UserCreate creates an object as a user does with kubectl create.
func (s *Server) UserCreate(o client.Object) error {
	_, err := s.create(o)
	return err
}

// UserEdit edits an object as a user does with kubectl edit. It reports whether the API server
// accepted the change.
func (s *Server) UserEdit(kind string, key types.NamespacedName, user string, change func(client.Object)) bool {
	_, err := s.edit(kind, key, user, change)
	return err == nil
}

// UserDelete deletes an object as a user does with kubectl delete. It reports whether the object
// existed.
func (s *Server) UserDelete(kind string, key types.NamespacedName) bool {
	return s.delete(kind, key) == nil
}

// Remove removes an object without grace, as the garbage collector does with the pods of a removed
// node.
func (s *Server) Remove(kind string, key types.NamespacedName) bool {
	return s.remove(kind, key) == nil
}
