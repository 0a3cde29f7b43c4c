package proto

import (
	"strconv"
	"time"
)

// AppendCanDo appends CAN_DO.
func AppendCanDo[F Bytes](dst []byte, function F) []byte {
	return append1(dst, Request, TypeCanDo, function)
}

// AppendCanDoTimeout appends CAN_DO_TIMEOUT. Servers since 1.1.19 read milliseconds, older ones
// seconds. gearmand raises a timeout below a second to one second. When it expires, gearmand gives
// the job to another worker without telling anybody.
func AppendCanDoTimeout[F Bytes](dst []byte, function F, timeout time.Duration) []byte {
	mark := len(dst)
	dst = AppendHeader(dst, Request, TypeCanDoTimeout, 0)
	dst = append(dst, function...)
	dst = append(dst, 0)
	dst = strconv.AppendInt(dst, timeout.Milliseconds(), 10)
	return setSize(dst, mark)
}

// AppendCantDo appends CANT_DO. The job server at once requeues any job of the function that the
// connection is running.
func AppendCantDo[F Bytes](dst []byte, function F) []byte {
	return append1(dst, Request, TypeCantDo, function)
}

// AppendSetClientID appends SET_CLIENT_ID.
func AppendSetClientID[I Bytes](dst []byte, id I) []byte {
	return append1(dst, Request, TypeSetClientID, id)
}

// Timeout is the content of CAN_DO_TIMEOUT.
type Timeout struct {
	Function []byte
	Text     []byte // the decimal number, in the job server's unit
}

// Timeout decodes CAN_DO_TIMEOUT.
func (p Packet) Timeout() (Timeout, error) {
	if p.Type != TypeCanDoTimeout {
		return Timeout{}, p.errType("CAN_DO_TIMEOUT")
	}
	rest, ok := p.Data, true
	t := Timeout{Function: cut(&rest, &ok)}
	if !ok {
		return Timeout{}, p.errArgs("too few arguments")
	}
	t.Text = rest
	return t, nil
}
