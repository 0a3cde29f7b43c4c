package admin

import "github.com/gearman-operator/gearman-operator/gearman/proto"

// Version is a server's answer to "version".
type Version = proto.Version

// Dialect is the family of servers that a Version tells.
type Dialect = proto.Dialect

// The dialects.
const (
	Unknown   = proto.Unknown
	Gearmand  = proto.Gearmand
	Gearmand2 = proto.Gearmand2
	Perl      = proto.Perl
)
