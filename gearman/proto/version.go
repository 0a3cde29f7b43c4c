package proto

import (
	"cmp"
	"slices"
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

// capabilities are what the servers of one dialect do.
type capabilities struct {
	name          string
	requeues      bool // the job of a lost connection goes to another worker
	delays        bool // SUBMIT_JOB_EPOCH submits a job for later
	grabsUnique   bool // GRAB_JOB_UNIQ gets a job with its key
	exceptionEnds bool // WORK_EXCEPTION ends a job
	cancels       bool // the client library may send "cancel job"
}

// dialects is the table of the dialects. A server that isn't known is taken for a gearmand, but for
// commands that nothing depends on.
var dialects = [...]capabilities{
	Unknown:   {name: "unknown", requeues: true, delays: true, grabsUnique: true, exceptionEnds: true},
	Gearmand:  {name: "gearmand", requeues: true, delays: true, grabsUnique: true, exceptionEnds: true, cancels: true},
	Gearmand2: {name: "gearmand 2", requeues: true, delays: true, grabsUnique: true, exceptionEnds: true},
	Perl:      {name: "Gearman::Server"},
}

func (d Dialect) capabilities() *capabilities {
	if d < 0 || int(d) >= len(dialects) {
		d = Unknown
	}
	return &dialects[d]
}

// String names the dialect.
func (d Dialect) String() string { return d.capabilities().name }

// Requeues reports whether the server gives the job of a lost connection to another worker. Perl's
// server fails it instead.
func (d Dialect) Requeues() bool { return d.capabilities().requeues }

// Delays reports whether the server takes jobs for later, as those that are retried.
func (d Dialect) Delays() bool { return d.capabilities().delays }

// GrabsUnique reports whether the server knows GRAB_JOB_UNIQ, which gets a job with its key.
func (d Dialect) GrabsUnique() bool { return d.capabilities().grabsUnique }

// ExceptionEnds reports whether WORK_EXCEPTION ends a job. To Perl's server it is a message.
func (d Dialect) ExceptionEnds() bool { return d.capabilities().exceptionEnds }

// Cancels reports whether a client may tell the server by "cancel job" that nobody waits for a job.
func (d Dialect) Cancels() bool { return d.capabilities().cancels }

// Version is a server's answer to "version". Versions can be compared with ==.
type Version struct {
	Text    string // without the OK
	Dialect Dialect
	numbers [3]int // the first three of Text
}

// ParseVersion reads the answer to "version". gearmand says "OK 1.1.20", Perl's server "v1.130.1";
// packagers add what they like behind the numbers ("OK 1.1.20+ds"). Whatever starts otherwise is of
// an Unknown dialect.
func ParseVersion(line string) Version {
	text, d := line, Perl
	if r, ok := ParseReply([]byte(line)); ok && r.OK {
		text, d = r.Value, Gearmand
	} else if !strings.HasPrefix(line, "v") {
		return Version{Text: line}
	}
	numbers, ok := versionNumbers(strings.TrimPrefix(text, "v"))
	if !ok || d == Gearmand && text[0] == 'v' {
		return Version{Text: text}
	}
	if d == Gearmand && numbers[0] >= 2 {
		d = Gearmand2
	}
	return Version{Text: text, Dialect: d, numbers: numbers}
}

// versionNumbers reads up to three numbers with dots between them off the start of s; there must be
// two at least.
func versionNumbers(s string) (n [3]int, ok bool) {
	for i := range n {
		end := 0
		for end < len(s) && s[end] >= '0' && s[end] <= '9' {
			end++
		}
		v, err := strconv.ParseUint(s[:end], 10, 31)
		if err != nil {
			return n, i >= 2
		}
		n[i] = int(v)
		if s = s[end:]; !strings.HasPrefix(s, ".") {
			return n, i >= 1
		}
		s = s[1:]
	}
	return n, true
}

// AtLeast says whether the server's version is major.minor.patch or later, by its numbers alone:
// 1.1.20+ds is 1.1.20. It is false for an Unknown dialect.
func (v Version) AtLeast(major, minor, patch int) bool {
	if v.Dialect == Unknown {
		return false
	}
	return slices.CompareFunc(v.numbers[:], []int{major, minor, patch}, cmp.Compare[int]) >= 0
}

// UniqueWithHandle says whether the rows of "show unique jobs" start with the job's handle, as they
// do from gearmand 2.2.0 on.
func (v Version) UniqueWithHandle() bool { return v.Dialect == Gearmand2 && v.AtLeast(2, 2, 0) }
