package gearmantest

import (
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// A Fault is what is wrong with a server. The zero Fault is nothing; the fields combine. See
// Server.SetFault.
type Fault struct {
	// Hang makes the server accept connections, read nothing more and answer nothing, as a stopped
	// process does. What it has not read is served when the fault is taken away.
	Hang bool
	// Delay passes before each answer is written.
	Delay time.Duration
	// BytesPerSecond is how fast answers are written on each connection; 0 is at once.
	BytesPerSecond int
	// CutAfter closes a connection once that many bytes were written on it since the fault was set.
	// A small number cuts the next answer in the middle: a binary packet has a header of 12 bytes.
	// 0 cuts nothing.
	CutAfter int
	// Garbage is written in place of every answer.
	Garbage []byte
	// DropOn closes the connection that sends a packet of this type; DropOnText one that sends a
	// line that starts with this word. DropNth says at which of them, counted over all connections
	// since the fault was set: n > 0 at the nth only, 0 at each.
	DropOn     proto.Type
	DropOnText string
	DropNth    int
	// DropHandled carries the request out before the connection is closed, so that only its answer
	// is lost.
	DropHandled bool
}

// SetFault puts the server, with all its connections, into a fault; SetFault(Fault{}) heals it.
func (s *Server) SetFault(f Fault) {
	s.mu.Lock()
	defer s.unlock()
	s.fault, s.hits = f, 0
	for c := range s.conns {
		c.sent.Store(0)
	}
	close(s.faultChanged)
	s.faultChanged = make(chan struct{})
}

// dropsOn says whether the fault closes the connection at this request.
func (s *Server) dropsOn(hit bool) bool {
	if !hit {
		return false
	}
	s.hits++
	return s.fault.DropNth == 0 || s.hits == s.fault.DropNth
}

// send writes an answer the way the fault has it, and returns false when the connection is to be
// closed.
func (c *conn) send(out []byte, f Fault) bool {
	if f.Delay > 0 && !c.pause(f.Delay) {
		return false
	}
	if len(f.Garbage) > 0 {
		out = f.Garbage
	}
	sent := int(c.sent.Load())
	cut := f.CutAfter > 0 && sent+len(out) >= f.CutAfter
	if cut {
		out = out[:max(f.CutAfter-sent, 0)]
	}
	const steps = 20 // writes a second of a slow connection
	for len(out) > 0 {
		part := out
		if f.BytesPerSecond > 0 {
			part = out[:min(len(out), max(f.BytesPerSecond/steps, 1))]
		}
		n, err := c.nc.Write(part)
		c.sent.Add(int64(n))
		c.wrote.Add(uint64(n))
		if err != nil {
			return false
		}
		out = out[n:]
		if f.BytesPerSecond > 0 && !c.pause(time.Second*time.Duration(n)/time.Duration(f.BytesPerSecond)) {
			return false
		}
	}
	return !cut
}

// pause returns false when the connection was closed meanwhile.
func (c *conn) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.done:
		return false
	}
}
