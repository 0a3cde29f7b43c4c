package proto

import (
	"strconv"
	"strings"
)

// Dialect is a family of job servers that answer alike; docs/servers.md tells how they differ.
type Dialect int

// The dialects.
const (
	Unknown   Dialect = iota
	Gearmand          // the C server, 0.x and 1.x
	Gearmand2         // the C server from 2.0.0 on
	Perl              // Gearman::Server
)

// String names the dialect.
func (d Dialect) String() string {
	switch d {
	case Gearmand:
		return "gearmand"
	case Gearmand2:
		return "gearmand 2"
	case Perl:
		return "Gearman::Server"
	}
	return "unknown"
}

// Version is a server's answer to "version".
type Version struct {
	Text    string // without the OK
	Dialect Dialect
}

// ParseVersion reads the answer to "version". gearmand says "OK 1.1.20", Perl's server "v1.130.1".
func ParseVersion(line string) Version {
	if r, ok := ParseReply([]byte(line)); ok && r.OK {
		major, _, _ := strings.Cut(r.Value, ".")
		n, err := strconv.Atoi(major)
		switch {
		case err != nil:
			return Version{Text: r.Value}
		case n >= 2:
			return Version{Text: r.Value, Dialect: Gearmand2}
		}
		return Version{Text: r.Value, Dialect: Gearmand}
	}
	if len(line) > 1 && line[0] == 'v' && line[1] >= '0' && line[1] <= '9' {
		return Version{Text: line, Dialect: Perl}
	}
	return Version{Text: line}
}

// Requeues says whether the server gives the job of a lost connection to another worker. Perl's server fails it instead.
func (d Dialect) Requeues() bool { return d != Perl }
