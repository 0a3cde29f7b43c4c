package admin

import "github.com/gearman-operator/gearman-operator/gearman/proto"

// Version is a job server's response to "version".
type Version = proto.Version

// Dialect is the family of job servers that a Version belongs to: one of the constants of package
// proto.
type Dialect = proto.Dialect
