package proto

import (
	"bytes"
	"fmt"
)

// Packet is one packet of the binary protocol. Data is a slice of the reader's buffer: it is valid
// until the reader's next call.
type Packet struct {
	Dir  Direction
	Type Type
	Data []byte
}

// Append appends the packet in its wire format.
func (p Packet) Append(dst []byte) []byte { return AppendPacket(dst, p.Dir, p.Type, p.Data) }

// String returns the packet's type and size for logs, never its content.
func (p Packet) String() string { return fmt.Sprintf("%s %s (%d bytes)", p.Dir, p.Type, len(p.Data)) }

// Args appends the packet's arguments to dst; for types that carry data, the data is the last. It
// returns an error if there are too few. With a dst of capacity 8 nothing is allocated.
func (p Packet) Args(dst [][]byte) ([][]byte, error) {
	n := p.Type.NumArgs()
	rest := p.Data
	for range n - 1 {
		arg, tail, ok := bytes.Cut(rest, nul)
		if !ok {
			return dst, p.errArgs("too few arguments")
		}
		dst, rest = append(dst, arg), tail
	}
	if n > 0 {
		dst = append(dst, rest)
	} else if len(p.Data) > 0 {
		return dst, p.errArgs("unexpected data")
	}
	return dst, nil
}

var nul = []byte{0}

func (p Packet) errArgs(what string) error {
	return fmt.Errorf("%s of %d bytes: %s: %w", p.Type, len(p.Data), what, ErrArguments)
}

func (p Packet) errType(want string) error {
	return fmt.Errorf("%s %s where %s was expected: %w", p.Dir, p.Type, want, ErrType)
}

// cut removes the next argument from rest and returns it. If one is missing, ok becomes false for
// good.
func cut(rest *[]byte, ok *bool) []byte {
	i := bytes.IndexByte(*rest, 0)
	if i < 0 {
		*ok = false
		return nil
	}
	arg := (*rest)[:i:i]
	*rest = (*rest)[i+1:]
	return arg
}

// Arg returns the single argument of CAN_DO, CANT_DO, SET_CLIENT_ID, GET_STATUS, GET_STATUS_UNIQUE,
// JOB_CREATED, WORK_FAIL, OPTION_REQ, OPTION_RES, ECHO_REQ and ECHO_RES. It removes a NUL at the
// end, except from echoed data: gearmand sends one in the WORK_FAIL that it makes from an
// exception.
func (p Packet) Arg() ([]byte, error) {
	if p.Type.NumArgs() != 1 {
		return nil, p.errType("a packet with one argument")
	}
	if p.Type == TypeEchoReq || p.Type == TypeEchoRes {
		return p.Data, nil
	}
	arg, tail, _ := bytes.Cut(p.Data, nul)
	if len(tail) > 0 {
		return nil, p.errArgs("more than one argument")
	}
	return arg, nil
}

// leadingUint parses the leading digits of b. Perl's server leaves the progress of a job empty
// until there is one, and passes on the worker's text unchanged.
func leadingUint(b []byte) uint64 {
	end := 0
	for end < len(b) && b[end] >= '0' && b[end] <= '9' {
		end++
	}
	n, _ := parseUint(b[:end])
	return n
}

func boolean(b []byte, valid *bool) bool { return number(b, valid) != 0 }

func number(b []byte, valid *bool) uint64 {
	n, ok := parseUint(b)
	*valid = *valid && ok
	return n
}

// parseUint parses a decimal number that is all of b. It is strconv.ParseUint without the string.
func parseUint(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := uint64(c - '0')
		if n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

func parseInt(b []byte) (int64, bool) {
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	n, ok := parseUint(b)
	if !ok || n > 1<<63-1 {
		return 0, false
	}
	if neg {
		return -int64(n), true
	}
	return int64(n), true
}
