package admin

import "github.com/gearman-operator/gearman-operator/gearman/proto"

// Version is a server's answer to "version".
type Version = proto.Version

// Dialect is the family of servers that a Version tells: one of the constants of package proto.
type Dialect = proto.Dialect
