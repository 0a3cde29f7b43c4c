package gearmantest

import (
	"bytes"
	"encoding/binary"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// receiveBuffer is the size of gearmand's receive buffer, into which a line of text and all
// arguments except the data must fit.
const receiveBuffer = 8192

// frameKind is the kind of the next item in a stream of requests.
type frameKind uint8

const (
	frameNone   frameKind = iota // not yet complete
	frameText                    // a line, with its line end
	framePacket                  // a binary packet
	frameClose                   // the server closes the connection without a response
	frameShort                   // a packet with too few arguments
)

// next is nextFrame, or the corresponding function of the dialect.
func (q *queue) next(b []byte, r *request) (kind frameKind, size, want int) {
	if q.rules.perl {
		return perlFrame(b, r)
	}
	return nextFrame(b, r)
}

// nextFrame finds the first request in b, which is not empty, and its size in bytes. want is how
// many bytes b must have before the next call (frameNone).
func nextFrame(b []byte, r *request) (kind frameKind, size, want int) {
	if b[0] != 0 {
		i := bytes.IndexByte(b[:min(len(b), receiveBuffer)], '\n')
		switch {
		case i >= 0:
			return frameText, i + 1, 0
		case len(b) > receiveBuffer:
			return frameClose, 0, 0
		}
		return frameNone, 0, len(b) + 1
	}
	if len(b) < proto.HeaderSize {
		return frameNone, 0, proto.HeaderSize
	}
	magic := string(b[1:4])
	r.res = magic == "RES"
	r.typ = proto.Type(binary.BigEndian.Uint32(b[4:]))
	length := int(binary.BigEndian.Uint32(b[8:]))
	if magic != "REQ" && !r.res || r.typ == 0 || r.typ > proto.TypeStatusResUnique {
		return frameClose, 0, 0
	}
	end := proto.HeaderSize + length
	body := b[proto.HeaderSize:min(len(b), end)]
	kind = r.parse(body, length)
	switch {
	case kind == frameNone && r.n < r.typ.NumArgs()-1:
		return frameNone, 0, len(b) + 1
	case kind == frameNone:
		return frameNone, 0, end
	case kind == frameClose:
		return frameClose, 0, 0
	}
	return kind, end, 0
}

// parse decodes the arguments from the received part of a packet's body. For an incomplete packet
// it returns frameNone, or frameClose if the packet can't fit.
func (r *request) parse(body []byte, length int) frameKind {
	n := r.typ.NumArgs()
	open := hasData(r.typ)
	terminated := n - 1 // all but the last end with a NUL
	rest := body
	r.n, r.data = 0, nil
	for r.n < terminated {
		i := bytes.IndexByte(rest, 0)
		if i < 0 {
			switch {
			case len(body) >= receiveBuffer:
				return frameClose
			case len(body) == length:
				return frameShort
			}
			return frameNone
		}
		r.args[r.n], rest = rest[:i:i], rest[i+1:]
		r.n++
	}
	if !open && length > receiveBuffer && n > 0 {
		return frameClose
	}
	if open && len(body)-len(rest) > receiveBuffer {
		return frameClose
	}
	if len(body) < length {
		return frameNone
	}
	switch {
	case open:
		r.data = rest
	case n > 0:
		r.args[r.n] = rest
		r.n++
	}
	return framePacket
}

// hasData reports whether a type's last argument is data, which gearmand receives separately from
// the arguments.
func hasData(t proto.Type) bool {
	switch t {
	case proto.TypeEchoReq, proto.TypeEchoRes, proto.TypeJobAssign, proto.TypeJobAssignUniq, proto.TypeJobAssignAll,
		proto.TypeWorkComplete, proto.TypeWorkData, proto.TypeWorkWarning, proto.TypeWorkException:
		return true
	}
	return t.IsSubmit()
}
