package gearmantest

import (
	"net"
	"sync/atomic"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

const (
	firstBuffer = 1 << 10   // initial read buffer of a connection, bytes
	largeBuffer = 64 << 10  // the buffer grows to this size while reads fill it; above, only for a packet that needs it
	keptBuffer  = 512 << 10 // of responses; a larger buffer is released once written
)

// A conn is one connection. Its reader is a goroutine of the server. Its writer is a goroutine only
// while there is something to write, so that an idle connection costs one goroutine.
type conn struct {
	s  *Server
	nc net.Conn
	p  peer

	done chan struct{} // closed with the connection

	// The server's lock guards these.
	closed     bool
	writing    bool
	closeAfter bool // once everything is written
	spare      []byte

	sent  atomic.Int64 // bytes written since the fault was set
	wrote *atomic.Uint64
}

// read is the connection's reader: it processes requests until the connection ends.
func (c *conn) read() {
	defer c.s.disconnect(c)
	buf := make([]byte, 0, firstBuffer)
	want := 1
	for {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
		n, err := c.nc.Read(buf[len(buf):cap(buf)])
		c.s.read.Add(uint64(n))
		full := len(buf)+n == cap(buf) && cap(buf) < largeBuffer
		buf = buf[:len(buf)+n]
		if len(buf) >= want && n > 0 {
			used, next, ok := c.s.run(c, buf)
			if !ok {
				return
			}
			buf, want = buf[:copy(buf, buf[used:])], max(next, 1)
		}
		if err != nil {
			return
		}
		switch {
		case len(buf) == 0 && cap(buf) > largeBuffer:
			buf = make([]byte, 0, firstBuffer)
		case full:
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
	}
}

// run processes the complete requests in buf, in one go under the lock. It returns how many bytes
// it used, how many bytes must be there before the next call, and whether the connection stays
// open.
func (s *Server) run(c *conn, buf []byte) (used, want int, ok bool) {
	s.mu.Lock()
	defer s.unlock()
	s.whileHung(c)
	for !c.closed && !c.closeAfter {
		b := buf[used:]
		switch {
		case len(b) == 0:
			return used, 1, true
		case c.p.stuck == deaf:
			return len(buf), 1, true
		case c.p.stuck == closesNext:
			s.closeSoon(c)
			continue
		}
		kind, size, need := s.q.next(b, &s.req)
		switch kind {
		case frameNone:
			return used, need, true
		case frameClose:
			s.closeSoon(c)
			continue
		case frameShort:
			c.p.stuck = deaf
			if !s.rules.perl && hasData(s.req.typ) {
				c.p.stuck = closesNext
			}
		case frameText:
			s.runText(c, b[:size])
		case framePacket:
			s.runPacket(c)
		}
		used += size
	}
	return used, 1, false
}

// whileHung waits, without the lock, until the server no longer hangs or the connection is closed.
func (s *Server) whileHung(c *conn) {
	for s.fault.Hang && !c.closed {
		changed := s.faultChanged
		s.mu.Unlock()
		select {
		case <-changed:
		case <-c.done:
		}
		s.mu.Lock()
	}
}

func (s *Server) runPacket(c *conn) {
	t := s.req.typ
	s.requests[min(t, proto.TypeStatusResUnique+1)]++
	drop := s.dropsOn(s.fault.DropOn != 0 && s.fault.DropOn == t)
	if drop && !s.fault.DropHandled {
		s.drop(c)
		return
	}
	s.q.handle(&c.p, &s.req)
	if drop {
		s.drop(c)
	}
}

func (s *Server) runText(c *conn, line []byte) {
	word := firstWord(line)
	if n := s.lines[word]; n != nil {
		*n++
	} else {
		s.otherLines++
	}
	drop := s.dropsOn(s.fault.DropOnText != "" && s.fault.DropOnText == word)
	if drop && !s.fault.DropHandled {
		s.drop(c)
		return
	}
	if !s.q.text(&c.p, line, s.me) {
		s.closeSoon(c)
	}
	if drop {
		s.drop(c)
	}
}

// write is the connection's writer: it sends the pending output and ends.
func (c *conn) write() {
	s := c.s
	s.mu.Lock()
	for len(c.p.out) > 0 && !c.closed {
		s.whileHung(c)
		out, f := c.p.out, s.fault
		c.p.out, c.spare = c.spare[:0], nil
		s.mu.Unlock()
		ok := c.send(out, f)
		s.mu.Lock()
		if cap(out) <= keptBuffer {
			c.spare = out[:0]
		}
		if !ok {
			s.drop(c)
		}
	}
	c.writing = false
	if c.closeAfter {
		s.drop(c)
	}
	s.unlock()
}

// closeSoon closes the connection once the responses to its earlier requests are written.
func (s *Server) closeSoon(c *conn) {
	c.closeAfter = true
	if !c.writing && len(c.p.out) == 0 {
		s.drop(c)
	}
}

func firstWord(line []byte) string {
	var word [16]byte
	n := 0
	for _, b := range line {
		if b <= ' ' || n == len(word) {
			break
		}
		if b >= 'A' && b <= 'Z' {
			b += 'a' - 'A'
		}
		word[n] = b
		n++
	}
	return string(word[:n])
}
