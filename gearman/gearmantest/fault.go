package gearmantest

import (
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// A Fault is a fault of a server. The zero Fault means no fault; the fields can be combined. See
// Server.SetFault.
type Fault struct {
	// Hang makes the server accept connections, but read nothing more and send no responses, like a
	// stopped process. When the fault is removed, the server processes the unread data.
	Hang bool
	// Delay passes before each response is written.
	Delay time.Duration
	// BytesPerSecond is how fast responses are written on each connection; 0 means no limit.
	BytesPerSecond int
	// CutAfter closes a connection once that many bytes were written on it since the fault was set.
	// A small number cuts the next response in the middle: a binary packet has a header of 12
	// bytes. 0 cuts nothing.
	CutAfter int
	// Garbage is written instead of every response.
	Garbage []byte
	// DropOn closes the connection that sends a packet of this type; DropOnText closes one that
	// sends a line that starts with this word. DropNth is the number of the packet or line at which
	// this happens, counted over all connections since the fault was set: n > 0 at the nth only, 0
	// at each.
	DropOn     proto.Type
	DropOnText string
	DropNth    int
	// DropHandled processes the request before the connection is closed, so that only its response
	// is lost.
	DropHandled bool
}

// SetFault sets the fault of the server and all its connections; SetFault(Fault{}) removes it.
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

// dropsOn reports whether the fault closes the connection at this request.
func (s *Server) dropsOn(hit bool) bool {
	if !hit {
		return false
	}
	s.hits++
	return s.fault.DropNth == 0 || s.hits == s.fault.DropNth
}

// send writes a response subject to the fault. It returns false if the connection must be closed.
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
	const steps = 20 // writes per second on a slow connection
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

// pause returns false if the connection was closed meanwhile.
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
