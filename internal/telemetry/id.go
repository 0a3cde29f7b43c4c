package telemetry

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
)

const (
	// Prefix starts every id of this convention; the digit is its version.
	Prefix = "gwp1;"

	// MaxLen is the longest client ID that gearmand keeps, in bytes. It truncates a longer one
	// silently.
	MaxLen = 127

	// MaxSlots bounds the busy slots and the capacity of one process.
	MaxSlots = 9_999
)

// maxStart is the largest start that an id carries, ms since 1970: the year 2286.
const maxStart = 9_999_999_999_999

// The possible troubles of a worker whose jobs don't run.
const (
	TroubleStart       = 's' // the command can't be started
	TroubleProcess     = 'p' // no process is ready for jobs
	TroubleUnreachable = 'u' // the HTTP service can't be reached
	TroubleFailing     = 'f' // jobs run, but consecutive ones fail
)

var (
	// ErrForeign means that an ID does not follow this convention at all, as most IDs don't.
	ErrForeign = errors.New("telemetry: not a gwp1 client id")
	// ErrMalformed means that an ID starts like one of this convention and then breaks its rules.
	ErrMalformed = errors.New("telemetry: malformed gwp1 client id")
)

// UID is the first eight characters of a pod's uid.
type UID [8]byte

// ParseUID takes the first eight characters of a pod's uid. They must be letters or digits.
func ParseUID(podUID string) (UID, error) {
	var u UID
	if copy(u[:], podUID) < len(u) {
		return UID{}, fmt.Errorf("telemetry: pod uid %q has fewer than %d characters", podUID, len(u))
	}
	if !u.valid() {
		return UID{}, fmt.Errorf(
			"telemetry: the first %d characters of pod uid %q must be letters or digits", len(u), podUID,
		)
	}
	return u, nil
}

func (u UID) String() string { return string(u[:]) }

func (u UID) valid() bool {
	for _, c := range u {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// FunctionHash identifies a function in an ID: CRC-32 (IEEE), which every language has.
func FunctionHash(name string) uint32 { return crc32.ChecksumIEEE([]byte(name)) }

// Report is the content of one ID.
type Report struct {
	UID   UID
	Start int64 // when the process started, ms since 1970; distinguishes the processes of a container

	// Full: the fields below are set. A pod's other connections carry only UID and Start.
	Full     bool
	Busy     int // slots of the process with a job, over all its functions
	Capacity int // slots of the process

	// HasFunction: the counters are those of the function with this hash. Without it they are those
	// of the only function that the worker serves.
	HasFunction bool
	Function    uint32
	Counters    Counters

	// Trouble is why the worker takes no jobs of the function, or few: one of the letters above or
	// one that is newer than this reader; 0: there is no problem.
	Trouble byte

	// Pod is the start of the pod's name, as much of it as had room. [Parse] lets it point into its
	// argument.
	Pod []byte
}

// Append appends the ID to dst: at most [MaxLen] bytes, without white space. Values beyond the
// bounds of the convention are written as the bound, a name that doesn't fit is truncated or left
// out, and so is one with characters that a pod's name can't have. If the figures alone are too
// long, as [Report.fits] reports, the optional counters are left out.
func (r Report) Append(dst []byte) []byte {
	if !r.fits() {
		r.Counters.dropOptional()
	}
	from := len(dst)
	dst = r.appendFigures(dst)
	if room := MaxLen - (len(dst) - from) - len(";p="); r.Full && room > 0 && len(r.Pod) > 0 && validPod(r.Pod) {
		dst = append(dst, ";p="...)
		dst = append(dst, r.Pod[:min(room, len(r.Pod))]...)
	}
	return dst
}

// fits reports whether all figures have room in an id.
func (r Report) fits() bool {
	var buf [2 * MaxLen]byte
	return len(r.appendFigures(buf[:0])) < MaxLen
}

// appendFigures appends the id without the pod's name.
func (r Report) appendFigures(dst []byte) []byte {
	dst = append(dst, Prefix...)
	dst = append(dst, "u="...)
	dst = append(dst, r.UID[:]...)
	dst = appendField(dst, 's', r.Start, maxStart)
	if !r.Full {
		return dst
	}
	dst = appendField(dst, 'b', int64(r.Busy), MaxSlots)
	dst = appendField(dst, 'c', int64(r.Capacity), MaxSlots)
	if r.HasFunction {
		dst = append(dst, ";f="...)
		for shift := 28; shift >= 0; shift -= 4 {
			dst = append(dst, "0123456789abcdef"[r.Function>>shift&0xf])
		}
	}
	dst = r.Counters.append(dst, false)
	if r.Trouble != 0 {
		dst = append(dst, ";x="...)
		dst = append(dst, r.Trouble)
	}
	dst = r.Counters.append(dst, true)
	return dst
}

func appendField(dst []byte, key byte, v, limit int64) []byte {
	dst = append(dst, ';', key, '=')
	return strconv.AppendInt(dst, min(max(v, 0), limit), 10)
}

// validPod reports whether the bytes can be (the start of) a pod's name.
func validPod(name []byte) bool {
	for _, c := range name {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}
