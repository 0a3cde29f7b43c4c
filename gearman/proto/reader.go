package proto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Limits bound what a Reader accepts from its peer. Zero fields mean the defaults.
type Limits struct {
	// Packet is the largest data of a packet in bytes that Next and Peek keep in memory (default
	// 256 MiB). Data streamed with Read has no limit.
	Packet int
	// Line is the longest line of text in bytes, with its newline (default 1 MiB: a worker's row
	// lists its functions).
	Line int
}

const (
	defaultPacket = 256 << 20
	defaultLine   = 1 << 20
	readBuffer    = 16 << 10 // kept by an idle connection
	keepBuffer    = 1 << 20  // a larger buffer is released once it is empty
	growStep      = 1 << 20  // memory for a packet grows at most by doubling, starting here
)

// Reader reads packets and lines of text from a stream. It is not safe for concurrent use.
//
// The results of Next and ReadLine are valid until the next call of any method.
type Reader struct {
	src    io.Reader
	buf    []byte
	r, w   int    // unread bytes are buf[r:w]
	rest   uint32 // unread bytes of the packet whose header was read last
	limits Limits
	err    error // the source's error, kept until the buffer is used up
}

// NewReader returns a Reader on src.
func NewReader(src io.Reader, limits Limits) *Reader {
	if limits.Packet <= 0 {
		limits.Packet = defaultPacket
	}
	if limits.Line <= 0 {
		limits.Line = defaultLine
	}
	return &Reader{src: src, limits: limits}
}

// Buffered returns the number of bytes that were read from the stream and not yet returned.
func (r *Reader) Buffered() int { return r.w - r.r }

// HasPacket reports whether the next packet is complete in memory, so that Next returns it without
// blocking.
func (r *Reader) HasPacket() bool {
	have := r.w - r.r - int(r.rest)
	if have < HeaderSize {
		return false
	}
	size := binary.BigEndian.Uint32(r.buf[r.r+int(r.rest)+8:])
	return uint64(have-HeaderSize) >= uint64(size)
}

// IsText waits for the next byte and reports whether it starts a line of text; packets start with a
// NUL.
func (r *Reader) IsText() (bool, error) {
	if err := r.skipRest(); err != nil {
		return false, err
	}
	if err := r.need(1, true); err != nil {
		return false, err
	}
	return r.buf[r.r] != 0, nil
}

// ReadLine reads a line of text and returns it without its newline or CR LF.
func (r *Reader) ReadLine() ([]byte, error) {
	if err := r.skipRest(); err != nil {
		return nil, err
	}
	for seen := 0; ; {
		if i := bytes.IndexByte(r.buf[r.r+seen:r.w], '\n'); i >= 0 {
			line := r.buf[r.r : r.r+seen+i]
			r.r += seen + i + 1
			if len(line)+1 > r.limits.Line {
				return nil, fmt.Errorf("line of %d bytes: %w", len(line)+1, ErrTooLarge)
			}
			return bytes.TrimSuffix(line, []byte{'\r'}), nil
		}
		seen = r.w - r.r
		if seen >= r.limits.Line {
			return nil, fmt.Errorf("line of more than %d bytes: %w", seen, ErrTooLarge)
		}
		if err := r.need(seen+1, seen == 0); err != nil {
			return nil, err
		}
	}
}

// Header is the start of a packet.
type Header struct {
	Dir  Direction
	Type Type
	Size uint32 // of the data, in bytes
}

// ReadHeader reads only a packet's header. The data can then be inspected with Peek, read in pieces
// with Read, or skipped by calling ReadHeader or Next again.
func (r *Reader) ReadHeader() (Header, error) {
	if err := r.skipRest(); err != nil {
		return Header{}, err
	}
	if err := r.need(HeaderSize, true); err != nil {
		return Header{}, err
	}
	h, err := DecodeHeader(r.buf[r.r:r.w])
	if err != nil {
		return Header{}, err
	}
	r.r += HeaderSize
	r.rest = h.Size
	return h, nil
}

// DecodeHeader decodes the first HeaderSize bytes of b. It returns an error for an unknown type,
// since the following data can't be trusted either. The caller must check whether the type may be
// sent in the packet's direction ([Type.SentBy]).
func DecodeHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, io.ErrUnexpectedEOF
	}
	var h Header
	switch string(b[:4]) {
	case "\x00REQ":
		h.Dir = Request
	case "\x00RES":
		h.Dir = Response
	default:
		return Header{}, fmt.Errorf("%q: %w", b[:4], ErrMagic)
	}
	h.Type = Type(binary.BigEndian.Uint32(b[4:]))
	h.Size = binary.BigEndian.Uint32(b[8:])
	if !h.Type.Known() && h.Type != typeUnused {
		return Header{}, fmt.Errorf("%s %s: %w", h.Dir, h.Type, ErrType)
	}
	return h, nil
}

// typeUnused has a number in the protocol and no meaning. gearmand responds to it with an ERROR and
// continues to read.
const typeUnused Type = 5

// Next reads the next packet as a whole. It skips unread data of the previous packet.
func (r *Reader) Next() (Packet, error) {
	h, err := r.ReadHeader()
	if err != nil {
		return Packet{}, err
	}
	if int64(h.Size) > int64(r.limits.Packet) {
		return Packet{}, fmt.Errorf("%s of %d bytes (limit %d): %w", h.Type, h.Size, r.limits.Packet, ErrTooLarge)
	}
	size := int(h.Size)
	if err := r.need(size, false); err != nil {
		return Packet{}, err
	}
	data := r.buf[r.r : r.r+size : r.r+size]
	r.r += size
	r.rest = 0
	return Packet{Dir: h.Dir, Type: h.Type, Data: data}, nil
}

// Rest returns how many bytes of the current packet's data are still unread.
func (r *Reader) Rest() int64 { return int64(r.rest) }

// Peek returns the next n bytes of the current packet's data, or all of them if there are fewer,
// without consuming them.
func (r *Reader) Peek(n int) ([]byte, error) {
	n = int(min(int64(n), int64(r.rest)))
	if n > r.limits.Packet {
		return nil, fmt.Errorf("%d bytes of a packet (limit %d): %w", n, r.limits.Packet, ErrTooLarge)
	}
	if err := r.need(n, false); err != nil {
		return nil, err
	}
	return r.buf[r.r : r.r+n : r.r+n], nil
}

// Discard consumes n bytes of the current packet's data, or all of them if there are fewer.
func (r *Reader) Discard(n int) error {
	n = int(min(int64(n), int64(r.rest)))
	for n > 0 {
		if err := r.need(1, false); err != nil {
			return err
		}
		k := min(n, r.w-r.r)
		r.r, r.rest, n = r.r+k, r.rest-sizeOf(k), n-k
	}
	return nil
}

// Read reads the current packet's data; at its end it returns io.EOF.
func (r *Reader) Read(p []byte) (int, error) {
	if r.rest == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), int64(r.rest))]
	if len(p) == 0 {
		return 0, nil
	}
	if r.r == r.w {
		if len(p) >= readBuffer && r.err == nil { // read directly into p
			n, err := r.src.Read(p)
			r.rest -= sizeOf(n)
			r.err = err
			if n > 0 {
				return n, nil
			}
		}
		if err := r.need(1, false); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.buf[r.r:r.w])
	r.r, r.rest = r.r+n, r.rest-sizeOf(n)
	return n, nil
}

func (r *Reader) skipRest() error {
	for r.rest > 0 {
		if err := r.Discard(int(min(r.rest, 1<<30))); err != nil {
			return err
		}
	}
	return nil
}

// need fills the buffer until it has n unread bytes. first means that nothing of the current packet
// or line was read yet, so that the end of the stream is a regular end.
func (r *Reader) need(n int, first bool) error {
	for r.w-r.r < n {
		if r.err != nil {
			err := r.err
			if errors.Is(err, io.EOF) && (!first || r.w > r.r) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		r.makeRoom(n)
		for range 100 {
			var k int
			k, r.err = r.src.Read(r.buf[r.w:])
			r.w += k
			if k > 0 || r.err != nil {
				break
			}
			r.err = io.ErrNoProgress // used if the loop ends here
		}
		if errors.Is(r.err, io.ErrNoProgress) && r.w-r.r >= n {
			r.err = nil
		}
	}
	return nil
}

// makeRoom makes room for more data after the unread bytes, if n of them are wanted.
func (r *Reader) makeRoom(n int) {
	if r.r == r.w {
		r.r, r.w = 0, 0
		if cap(r.buf) > keepBuffer && n <= readBuffer {
			r.buf = nil
		}
	}
	if r.buf == nil {
		r.buf = make([]byte, readBuffer)
	}
	if r.r > 0 && (r.r+n > len(r.buf) || r.w == len(r.buf)) {
		copy(r.buf, r.buf[r.r:r.w])
		r.r, r.w = 0, r.w-r.r
	}
	if r.w == len(r.buf) { // full, and n needs more: grow step by step, since the announced size can't be trusted
		size := min(n, max(growStep, 2*len(r.buf)))
		size = max(size, min(2*len(r.buf), growStep))
		bigger := make([]byte, size)
		copy(bigger, r.buf[:r.w])
		r.buf = bigger
	}
}
