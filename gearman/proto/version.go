package proto

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Dialect is a family of job servers that behave alike; docs/servers.md describes the differences.
type Dialect int

// The dialects.
const (
	Unknown   Dialect = iota
	Gearmand          // the C server, 0.x and 1.x
	Gearmand2         // the C server from 2.0.0 on
	Perl              // Gearman::Server
)

// capabilities are what the job servers of one dialect support.
type capabilities struct {
	name          string
	requeues      bool // the job of a lost connection is given to another worker
	delays        bool // SUBMIT_JOB_EPOCH submits a job for later
	grabsUnique   bool // GRAB_JOB_UNIQ gets a job with its key
	exceptionEnds bool // WORK_EXCEPTION ends a job
	cancels       bool // the client library may send "cancel job"
}

// dialects is the table of the dialects. An unknown job server is treated as a gearmand, except for
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

// String returns the dialect's name.
func (d Dialect) String() string { return d.capabilities().name }

// Requeues reports whether the job server gives the job of a lost connection to another worker.
// Perl's server fails the job instead.
func (d Dialect) Requeues() bool { return d.capabilities().requeues }

// Delays reports whether the job server accepts delayed jobs, such as retries.
func (d Dialect) Delays() bool { return d.capabilities().delays }

// GrabsUnique reports whether the job server knows GRAB_JOB_UNIQ, which gets a job with its key.
func (d Dialect) GrabsUnique() bool { return d.capabilities().grabsUnique }

// ExceptionEnds reports whether WORK_EXCEPTION ends a job. On Perl's server it is only a message.
func (d Dialect) ExceptionEnds() bool { return d.capabilities().exceptionEnds }

// Cancels reports whether a client may send "cancel job" when nobody waits for a job any more.
func (d Dialect) Cancels() bool { return d.capabilities().cancels }

// Version is a job server's response to "version". Versions can be compared with ==.
type Version struct {
	Text    string // without the OK
	Dialect Dialect
	numbers [3]int // the first three numbers of Text
}

// ParseVersion parses the response to "version". gearmand sends "OK 1.1.20", Perl's server
// "v1.130.1". Packagers may append anything to the numbers ("OK 1.1.20+ds"). A response that starts
// differently means the dialect Unknown.
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

// versionNumbers parses up to three numbers separated by dots at the start of s; there must be at
// least two.
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

// AtLeast reports whether the job server's version is major.minor.patch or later. It only compares
// the numbers: 1.1.20+ds is 1.1.20. It returns false for an Unknown dialect.
func (v Version) AtLeast(major, minor, patch int) bool {
	if v.Dialect == Unknown {
		return false
	}
	return slices.CompareFunc(v.numbers[:], []int{major, minor, patch}, cmp.Compare[int]) >= 0
}

// UniqueWithHandle reports whether the rows of "show unique jobs" start with the job's handle,
// which is the case since gearmand 2.2.0.
func (v Version) UniqueWithHandle() bool { return v.Dialect == Gearmand2 && v.AtLeast(2, 2, 0) }
