package proto

import (
	"strconv"
	"time"
)

// AppendSubmit appends SUBMIT_JOB or one of its variants with the same arguments (background, high,
// low). An empty unique means no key; "-" makes the job server use the payload as the key.
func AppendSubmit[F, U, D Bytes](dst []byte, t Type, function F, unique U, payload D) []byte {
	dst = AppendHeader(dst, Request, t, sizeOf(len(function)+len(unique)+len(payload)+2))
	dst = append(dst, function...)
	dst = append(dst, 0)
	dst = append(dst, unique...)
	dst = append(dst, 0)
	return append(dst, payload...)
}

// AppendSubmitEpoch appends SUBMIT_JOB_EPOCH: a background job that starts at the given second.
func AppendSubmitEpoch[F, U, D Bytes](dst []byte, function F, unique U, at time.Time, payload D) []byte {
	mark := len(dst)
	dst = AppendHeader(dst, Request, TypeSubmitJobEpoch, 0)
	dst = append(dst, function...)
	dst = append(dst, 0)
	dst = append(dst, unique...)
	dst = append(dst, 0)
	dst = strconv.AppendInt(dst, at.Unix(), 10)
	dst = append(dst, 0)
	dst = append(dst, payload...)
	return setSize(dst, mark)
}

// AppendSubmitReduce appends SUBMIT_REDUCE_JOB or SUBMIT_REDUCE_JOB_BACKGROUND. The aggregate field
// is not in the protocol's documentation, but gearmand requires it.
func AppendSubmitReduce[F, U, R, A, D Bytes](
	dst []byte, t Type, function F, unique U, reducer R, aggregate A, payload D,
) []byte {
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
	dst = append(dst, payload...)
	return setSize(dst, mark)
}

// Schedule is the cron-like time of SUBMIT_JOB_SCHED, each field in decimal or empty.
type Schedule[A Bytes] struct{ Minute, Hour, Day, Month, Weekday A }

// AppendSubmitSched appends SUBMIT_JOB_SCHED, which the protocol documents and no known job server
// accepts.
func AppendSubmitSched[F, U, A, D Bytes](dst []byte, function F, unique U, s Schedule[A], payload D) []byte {
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
	dst = append(dst, payload...)
	return setSize(dst, mark)
}

// AppendJobCreated appends JOB_CREATED.
func AppendJobCreated[H Bytes](dst []byte, handle H) []byte {
	return append1(dst, Response, TypeJobCreated, handle)
}

// Submission is the content of SUBMIT_JOB and its variants.
type Submission struct {
	Type     Type // which variant
	Function []byte
	Unique   []byte // empty: no key
	Payload  []byte
	// At is when the job may start (SUBMIT_JOB_EPOCH); zero otherwise.
	At time.Time
	// Reducer and Aggregate are only used by the two reduce types.
	Reducer, Aggregate []byte
	// Schedule is only used by SUBMIT_JOB_SCHED.
	Schedule Schedule[[]byte]
}

// Submission decodes one of the packets that submit a job.
func (p Packet) Submission() (Submission, error) {
	if !p.Type.IsSubmit() {
		return Submission{}, p.errType("a submission")
	}
	rest, ok := p.Data, true
	s := Submission{Type: p.Type, Function: cut(&rest, &ok), Unique: cut(&rest, &ok)}
	switch p.Type {
	case TypeSubmitJobEpoch:
		epoch := cut(&rest, &ok)
		if !ok {
			break
		}
		n, valid := parseInt(epoch)
		if !valid {
			return Submission{}, p.errArgs("the epoch is not a number")
		}
		s.At = time.Unix(n, 0)
	case TypeSubmitReduceJob, TypeSubmitReduceBG:
		s.Reducer, s.Aggregate = cut(&rest, &ok), cut(&rest, &ok)
	case TypeSubmitJobSched:
		s.Schedule = Schedule[[]byte]{
			Minute: cut(&rest, &ok), Hour: cut(&rest, &ok), Day: cut(&rest, &ok), Month: cut(&rest, &ok),
			Weekday: cut(&rest, &ok),
		}
	}
	if !ok {
		return Submission{}, p.errArgs("too few arguments")
	}
	s.Payload = rest
	return s, nil
}
