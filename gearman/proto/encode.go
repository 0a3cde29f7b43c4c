package proto

import (
	"encoding/binary"
	"strconv"
	"time"
)

// HeaderSize is the size of a packet's header in bytes.
const HeaderSize = 12

// Bytes is what arguments are given as: a string, or a slice of what was read.
type Bytes interface{ ~string | ~[]byte }

// AppendHeader appends a header for a packet whose data has size bytes. With it a packet can be written whose data comes from
// elsewhere, as from a file.
func AppendHeader(dst []byte, d Direction, t Type, size uint32) []byte {
	if d == Response {
		dst = append(dst, 0, 'R', 'E', 'S')
	} else {
		dst = append(dst, 0, 'R', 'E', 'Q')
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(t))
	return binary.BigEndian.AppendUint32(dst, size)
}

// AppendPacket appends a packet with the given data, whatever it holds.
func AppendPacket(dst []byte, d Direction, t Type, data []byte) []byte {
	dst = AppendHeader(dst, d, t, uint32(len(data)))
	return append(dst, data...)
}

// AppendEmpty appends a packet without arguments: RESET_ABILITIES, PRE_SLEEP, GRAB_JOB, GRAB_JOB_UNIQ, GRAB_JOB_ALL, ALL_YOURS
// as requests, NOOP and NO_JOB as responses.
func AppendEmpty(dst []byte, d Direction, t Type) []byte { return AppendHeader(dst, d, t, 0) }

func append1[A Bytes](dst []byte, d Direction, t Type, a A) []byte {
	dst = AppendHeader(dst, d, t, uint32(len(a)))
	return append(dst, a...)
}

func append2[A, B Bytes](dst []byte, d Direction, t Type, a A, b B) []byte {
	dst = AppendHeader(dst, d, t, uint32(len(a)+1+len(b)))
	dst = append(dst, a...)
	dst = append(dst, 0)
	return append(dst, b...)
}

// AppendSubmit appends SUBMIT_JOB or one of its kin with the same arguments (background, high, low). An empty unique means none;
// "-" means that the server takes the data for the key.
func AppendSubmit[F, U, D Bytes](dst []byte, t Type, function F, unique U, data D) []byte {
	dst = AppendHeader(dst, Request, t, uint32(len(function)+len(unique)+len(data)+2))
	dst = append(dst, function...)
	dst = append(dst, 0)
	dst = append(dst, unique...)
	dst = append(dst, 0)
	return append(dst, data...)
}

// AppendSubmitEpoch appends SUBMIT_JOB_EPOCH: a background job that starts at the given second.
func AppendSubmitEpoch[F, U, D Bytes](dst []byte, function F, unique U, at time.Time, data D) []byte {
	mark := len(dst)
	dst = AppendHeader(dst, Request, TypeSubmitJobEpoch, 0)
	dst = append(dst, function...)
	dst = append(dst, 0)
	dst = append(dst, unique...)
	dst = append(dst, 0)
	dst = strconv.AppendInt(dst, at.Unix(), 10)
	dst = append(dst, 0)
	dst = append(dst, data...)
	return setSize(dst, mark)
}

// AppendSubmitReduce appends SUBMIT_REDUCE_JOB or SUBMIT_REDUCE_JOB_BACKGROUND. The aggregate field is not in the protocol's
// documentation, but gearmand waits for it.
func AppendSubmitReduce[F, U, R, A, D Bytes](dst []byte, t Type, function F, unique U, reducer R, aggregate A, data D) []byte {
	mark := len(dst)
	dst = AppendHeader(dst, Request, t, 0)
	dst = append(dst, function...)
	dst = append(dst, 0)
	dst = append(dst, unique...)
	dst = append(dst, 0)
	dst = append(dst, reducer...)
	dst = append(dst, 0)
	dst = append(dst, aggregate...)
	dst = append(dst, 0)
	dst = append(dst, data...)
	return setSize(dst, mark)
}

// Schedule is the cron-like time of SUBMIT_JOB_SCHED, each field in decimal or empty.
type Schedule[A Bytes] struct{ Minute, Hour, Day, Month, Weekday A }

// AppendSubmitSched appends SUBMIT_JOB_SCHED, which the protocol documents and no known server takes.
func AppendSubmitSched[F, U, A, D Bytes](dst []byte, function F, unique U, s Schedule[A], data D) []byte {
	mark := len(dst)
	dst = AppendHeader(dst, Request, TypeSubmitJobSched, 0)
	dst = append(dst, function...)
	dst = append(dst, 0)
	dst = append(dst, unique...)
	for _, f := range [...]A{s.Minute, s.Hour, s.Day, s.Month, s.Weekday} {
		dst = append(dst, 0)
		dst = append(dst, f...)
	}
	dst = append(dst, 0)
	dst = append(dst, data...)
	return setSize(dst, mark)
}

// setSize writes the size of the packet that starts at mark into its header.
func setSize(dst []byte, mark int) []byte {
	binary.BigEndian.PutUint32(dst[mark+8:], uint32(len(dst)-mark-HeaderSize))
	return dst
}

// GrowSize raises the size in the header of the packet that starts at mark by n bytes, which are written behind the packet separately.
func GrowSize(dst []byte, mark, n int) []byte {
	size := binary.BigEndian.Uint32(dst[mark+8:])
	binary.BigEndian.PutUint32(dst[mark+8:], size+uint32(n))
	return dst
}

// AppendCanDo appends CAN_DO.
func AppendCanDo[F Bytes](dst []byte, function F) []byte {
	return append1(dst, Request, TypeCanDo, function)
}

// AppendCanDoTimeout appends CAN_DO_TIMEOUT. Servers since 1.1.19 read milliseconds, older ones seconds; gearmand raises what is
// below a second, and hands the job to another worker on expiry without telling anybody.
func AppendCanDoTimeout[F Bytes](dst []byte, function F, timeout time.Duration) []byte {
	mark := len(dst)
	dst = AppendHeader(dst, Request, TypeCanDoTimeout, 0)
	dst = append(dst, function...)
	dst = append(dst, 0)
	dst = strconv.AppendInt(dst, timeout.Milliseconds(), 10)
	return setSize(dst, mark)
}

// AppendCantDo appends CANT_DO. The server requeues at once any job of the function that the connection works on.
func AppendCantDo[F Bytes](dst []byte, function F) []byte {
	return append1(dst, Request, TypeCantDo, function)
}

// AppendSetClientID appends SET_CLIENT_ID.
func AppendSetClientID[I Bytes](dst []byte, id I) []byte {
	return append1(dst, Request, TypeSetClientID, id)
}

// AppendGetStatus appends GET_STATUS.
func AppendGetStatus[H Bytes](dst []byte, handle H) []byte {
	return append1(dst, Request, TypeGetStatus, handle)
}

// AppendGetStatusUnique appends GET_STATUS_UNIQUE.
func AppendGetStatusUnique[U Bytes](dst []byte, unique U) []byte {
	return append1(dst, Request, TypeGetStatusUnique, unique)
}

// AppendEcho appends ECHO_REQ (as a request) or ECHO_RES (as a response).
func AppendEcho[D Bytes](dst []byte, d Direction, data D) []byte {
	if d == Response {
		return append1(dst, d, TypeEchoRes, data)
	}
	return append1(dst, d, TypeEchoReq, data)
}

// AppendOption appends OPTION_REQ (as a request) or OPTION_RES (as a response). The one known option is "exceptions".
func AppendOption[O Bytes](dst []byte, d Direction, option O) []byte {
	if d == Response {
		return append1(dst, d, TypeOptionRes, option)
	}
	return append1(dst, d, TypeOptionReq, option)
}

// AppendWork appends WORK_COMPLETE, WORK_DATA, WORK_WARNING or WORK_EXCEPTION.
func AppendWork[H, D Bytes](dst []byte, d Direction, t Type, handle H, data D) []byte {
	return append2(dst, d, t, handle, data)
}

// AppendWorkHeader appends the start of what AppendWork appends, up to data of size bytes that follow from elsewhere.
// The handle and size must stay within 4 GiB - 1 together.
func AppendWorkHeader[H Bytes](dst []byte, d Direction, t Type, handle H, size int64) []byte {
	dst = AppendHeader(dst, d, t, uint32(int64(len(handle))+1+size))
	dst = append(dst, handle...)
	return append(dst, 0)
}

// AppendWorkFail appends WORK_FAIL.
func AppendWorkFail[H Bytes](dst []byte, d Direction, handle H) []byte {
	return append1(dst, d, TypeWorkFail, handle)
}

// AppendWorkStatus appends WORK_STATUS. Servers pass the two on as they are and keep them as 32-bit numbers.
func AppendWorkStatus[H Bytes](dst []byte, d Direction, handle H, numerator, denominator uint64) []byte {
	mark := len(dst)
	dst = AppendHeader(dst, d, TypeWorkStatus, 0)
	dst = append(dst, handle...)
	dst = append(dst, 0)
	dst = strconv.AppendUint(dst, numerator, 10)
	dst = append(dst, 0)
	dst = strconv.AppendUint(dst, denominator, 10)
	return setSize(dst, mark)
}

// AppendJobCreated appends JOB_CREATED.
func AppendJobCreated[H Bytes](dst []byte, handle H) []byte {
	return append1(dst, Response, TypeJobCreated, handle)
}

// AppendJobAssign appends JOB_ASSIGN.
func AppendJobAssign[H, F, D Bytes](dst []byte, handle H, function F, data D) []byte {
	dst = AppendHeader(dst, Response, TypeJobAssign, uint32(len(handle)+len(function)+len(data)+2))
	dst = append(dst, handle...)
	dst = append(dst, 0)
	dst = append(dst, function...)
	dst = append(dst, 0)
	return append(dst, data...)
}

// AppendJobAssignUniq appends JOB_ASSIGN_UNIQ.
func AppendJobAssignUniq[H, F, U, D Bytes](dst []byte, handle H, function F, unique U, data D) []byte {
	dst = AppendHeader(dst, Response, TypeJobAssignUniq, uint32(len(handle)+len(function)+len(unique)+len(data)+3))
	dst = append(dst, handle...)
	dst = append(dst, 0)
	dst = append(dst, function...)
	dst = append(dst, 0)
	dst = append(dst, unique...)
	dst = append(dst, 0)
	return append(dst, data...)
}

// AppendJobAssignAll appends JOB_ASSIGN_ALL.
func AppendJobAssignAll[H, F, U, R, D Bytes](dst []byte, handle H, function F, unique U, reducer R, data D) []byte {
	mark := len(dst)
	dst = AppendHeader(dst, Response, TypeJobAssignAll, 0)
	dst = append(dst, handle...)
	dst = append(dst, 0)
	dst = append(dst, function...)
	dst = append(dst, 0)
	dst = append(dst, unique...)
	dst = append(dst, 0)
	dst = append(dst, reducer...)
	dst = append(dst, 0)
	dst = append(dst, data...)
	return setSize(dst, mark)
}

// AppendError appends ERROR.
func AppendError[C, T Bytes](dst []byte, code C, text T) []byte {
	return append2(dst, Response, TypeError, code, text)
}

// AppendStatusRes appends STATUS_RES.
func AppendStatusRes(dst []byte, s Status) []byte {
	mark := len(dst)
	dst = AppendHeader(dst, Response, TypeStatusRes, 0)
	return setSize(appendStatus(dst, s), mark)
}

// AppendStatusResUnique appends STATUS_RES_UNIQUE: the status of a unique key and how many clients wait for it.
func AppendStatusResUnique(dst []byte, s Status) []byte {
	mark := len(dst)
	dst = AppendHeader(dst, Response, TypeStatusResUnique, 0)
	dst = append(appendStatus(dst, s), 0)
	dst = strconv.AppendUint(dst, s.Clients, 10)
	return setSize(dst, mark)
}

func appendStatus(dst []byte, s Status) []byte {
	dst = append(dst, s.Key...)
	dst = append(dst, 0, bit(s.Known), 0, bit(s.Running), 0)
	dst = strconv.AppendUint(dst, s.Numerator, 10)
	dst = append(dst, 0)
	return strconv.AppendUint(dst, s.Denominator, 10)
}

func bit(b bool) byte {
	if b {
		return '1'
	}
	return '0'
}
