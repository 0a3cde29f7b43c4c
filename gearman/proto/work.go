package proto

import (
	"bytes"
	"strconv"
)

// AppendWork appends WORK_COMPLETE, WORK_DATA, WORK_WARNING or WORK_EXCEPTION.
func AppendWork[H, D Bytes](dst []byte, d Direction, t Type, handle H, data D) []byte {
	return append2(dst, d, t, handle, data)
}

// AppendWorkHeader appends the same as AppendWork, except for the data: size bytes that the caller
// writes separately. Handle and size together must stay within 4 GiB - 1.
func AppendWorkHeader[H Bytes](dst []byte, d Direction, t Type, handle H, size int64) []byte {
	dst = AppendHeader(dst, d, t, sizeOf(int64(len(handle))+1+size))
	dst = append(dst, handle...)
	return append(dst, 0)
}

// AppendWorkFail appends WORK_FAIL.
func AppendWorkFail[H Bytes](dst []byte, d Direction, handle H) []byte {
	return append1(dst, d, TypeWorkFail, handle)
}

// AppendWorkStatus appends WORK_STATUS. Job servers pass both numbers on unchanged, and store them
// as 32-bit numbers.
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

// Work is a worker's report about a job.
type Work struct {
	Type   Type
	Handle []byte
	Data   []byte // empty for WORK_FAIL and WORK_STATUS
	// Numerator and Denominator are the text in WORK_STATUS as the worker wrote it: job servers
	// also pass on text that is not a number.
	Numerator, Denominator []byte
}

// Work decodes WORK_COMPLETE, WORK_FAIL, WORK_EXCEPTION, WORK_DATA, WORK_WARNING or WORK_STATUS.
func (p Packet) Work() (Work, error) {
	rest, ok := p.Data, true
	w := Work{Type: p.Type}
	switch p.Type {
	case TypeWorkComplete, TypeWorkException, TypeWorkData, TypeWorkWarning:
		w.Handle = cut(&rest, &ok)
		w.Data = rest
	case TypeWorkFail: // workers may append anything to the handle, and gearmand passes it on
		w.Handle, _, _ = bytes.Cut(p.Data, nul)
		return w, nil
	case TypeWorkStatus:
		w.Handle, w.Numerator = cut(&rest, &ok), cut(&rest, &ok)
		w.Denominator, _, _ = bytes.Cut(rest, nul)
	default:
		return w, p.errType("a packet about a job's work")
	}
	if !ok {
		return Work{}, p.errArgs("too few arguments")
	}
	return w, nil
}

// Progress parses the numbers of a WORK_STATUS. ok is false if the worker didn't send whole
// numbers.
func (w Work) Progress() (numerator, denominator uint64, ok bool) {
	n, ok1 := parseUint(w.Numerator)
	d, ok2 := parseUint(w.Denominator)
	return n, d, ok1 && ok2
}
