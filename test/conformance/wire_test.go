package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// waitLimit is how long a packet that must come may take. It is generous, since the machine may be
// busy. It is shorter if a row is known to fail because the server lacks the feature.
const (
	waitLimit      = 20 * time.Second
	shortWaitLimit = time.Second
)

// A check is one run of a row on one job server. Its methods fail the row by panicking with
// failure, which the runner recovers, because a failing row is an outcome here and does not always
// fail the test.
type check struct {
	target    *target
	waitLimit time.Duration
	ctx       context.Context

	mu      sync.Mutex
	cleanup []func()
	control *wire
}

type failure string

func (c *check) failf(format string, args ...any) {
	const longest = 400
	text := fmt.Sprintf(format, args...)
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "..."
	}
	panic(failure(text))
}

func (c *check) onEnd(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cleanup = append(c.cleanup, f)
}

func (c *check) end() {
	c.mu.Lock()
	fs := c.cleanup
	c.cleanup = nil
	c.mu.Unlock()
	for _, f := range slices.Backward(fs) {
		f()
	}
}

// A wire is a connection to the job server under test.
type wire struct {
	c    *check
	name string
	nc   net.Conn
	r    *proto.Reader
	n    int // barriers so far
}

// dial connects; the name is for messages.
func (c *check) dial(name string) *wire {
	nc, err := c.target.dial(c.ctx)
	if err != nil {
		c.failf("%s can't connect: %v", name, err)
	}
	c.onEnd(func() { _ = nc.Close() })
	return &wire{c: c, name: name, nc: nc, r: proto.NewReader(nc, proto.Limits{})}
}

// worker dials and registers functions.
func (c *check) worker(name string, functions ...string) *wire {
	w := c.dial(name)
	for _, f := range functions {
		w.send(proto.TypeCanDo, f)
	}
	w.sync()
	return w
}

func (w *wire) raw(b string) {
	_ = w.nc.SetWriteDeadline(time.Now().Add(w.c.waitLimit))
	if _, err := io.WriteString(w.nc, b); err != nil {
		w.c.failf("%s can't write: %v", w.name, err)
	}
}

// send writes a request with these arguments, whatever number of them the protocol requires.
func (w *wire) send(t proto.Type, args ...string) {
	w.raw(string(proto.AppendPacket(nil, proto.Request, t, []byte(strings.Join(args, "\x00")))))
}

// packet is what a job server sent, with its data split at the NULs according to its type.
type packet struct {
	typ  proto.Type
	args []string
}

func (p packet) String() string { return show(p.typ, p.args) }

func show(t proto.Type, args []string) string {
	var b strings.Builder
	b.WriteString(t.String())
	for _, a := range args {
		if len(a) > 120 {
			fmt.Fprintf(&b, " %q...(%d bytes)", a[:40], len(a))
			continue
		}
		fmt.Fprintf(&b, " %q", a)
	}
	return b.String()
}

// next reads the next packet.
func (w *wire) next() (packet, error) {
	_ = w.nc.SetReadDeadline(time.Now().Add(w.c.waitLimit))
	p, err := w.r.Next()
	if err != nil {
		return packet{}, err
	}
	n := max(p.Type.NumArgs(), 1)
	if p.Type == proto.TypeWorkFail {
		n = 2 // shows a NUL that doesn't belong there
	}
	got := packet{typ: p.Type}
	if len(p.Data) > 0 || p.Type.NumArgs() > 0 {
		got.args = strings.SplitN(string(p.Data), "\x00", n)
	}
	return got, nil
}

// want fails unless the next packet is this one.
func (w *wire) want(t proto.Type, args ...string) {
	got, err := w.next()
	if err != nil {
		w.c.failf("%s waited for %s, and got %s", w.name, show(t, args), silence(err))
	}
	if got.typ != t || !slices.Equal(got.args, args) {
		w.c.failf("%s waited for %s, and got %s%s", w.name, show(t, args), got, lacking(got))
	}
}

// lacking returns what to do about a server that answers with an error, as one without the feature
// does.
func lacking(got packet) string {
	if got.typ != proto.TypeError {
		return ""
	}
	return "; if the server lacks the feature, put its name into the row's \"not\""
}

// silence describes a read error in terms of what happened on the wire.
func silence(err error) string {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "nothing"
	case errors.Is(err, io.EOF):
		return "the end of the connection"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "half a packet and the end of the connection"
	}
	return err.Error()
}

// created reads a JOB_CREATED and returns its handle.
func (w *wire) created() string {
	got, err := w.next()
	if err != nil {
		w.c.failf("%s waited for JOB_CREATED, and got %s", w.name, silence(err))
	}
	if got.typ != proto.TypeJobCreated || len(got.args) != 1 || !strings.HasPrefix(got.args[0], "H:") {
		w.c.failf("%s waited for JOB_CREATED with a handle, and got %s%s", w.name, got, lacking(got))
	}
	return got.args[0]
}

// submit sends a submission and returns the handle of the job.
func (w *wire) submit(t proto.Type, args ...string) string {
	w.send(t, args...)
	return w.created()
}

// grab sends GRAB_JOB and fails unless this job comes.
func (w *wire) grab(handle, function, data string) {
	w.send(proto.TypeGrabJob)
	w.want(proto.TypeJobAssign, handle, function, data)
}

func (w *wire) grabNothing() {
	w.send(proto.TypeGrabJob)
	w.want(proto.TypeNoJob)
}

// sleep sends PRE_SLEEP while there is no job.
func (w *wire) sleep() {
	w.send(proto.TypePreSleep)
	w.sync()
}

// sync sends ECHO_REQ and fails unless its answer comes next. The server has then handled all
// earlier requests, and has sent nothing else.
func (w *wire) sync() {
	w.n++
	mark := fmt.Sprintf("mark %d of %s", w.n, w.name)
	w.send(proto.TypeEchoReq, mark)
	w.want(proto.TypeEchoRes, mark)
}

// wantClosed fails unless the server closes the connection without sending anything.
func (w *wire) wantClosed() {
	got, err := w.next()
	if err == nil {
		w.c.failf("%s waited for the end of the connection, and got %s", w.name, got)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		w.c.failf("%s waited for the end of the connection, and nothing came", w.name)
	}
}

// wantMute fails if the server answers anything, even an ECHO_REQ. It may close the connection or
// ignore all requests.
func (w *wire) wantMute() {
	w.send(proto.TypeEchoReq, "mute?")
	_ = w.nc.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if p, err := w.r.Next(); err == nil {
		w.c.failf("%s waited for no answer, and got %s %q", w.name, p.Type, p.Data)
	}
}

// wantIgnored fails if the server answers the request. The server may continue afterwards or close
// the connection, because gearmand does either.
func (w *wire) wantIgnored() {
	w.send(proto.TypeEchoReq, "ignored?")
	got, err := w.next()
	if err == nil && (got.typ != proto.TypeEchoRes || got.args[0] != "ignored?") {
		w.c.failf("%s waited for no answer, and got %s", w.name, got)
	}
}

func (w *wire) close() { _ = w.nc.Close() }

// reset closes the connection as a killed process with unread data would.
func (w *wire) reset() {
	if t, ok := w.nc.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = w.nc.Close()
}

// line sends a text command and returns the one line of its answer, with its line end.
func (w *wire) line(command string) string {
	w.raw(command)
	return w.readLine()
}

func (w *wire) readLine() string {
	_ = w.nc.SetReadDeadline(time.Now().Add(w.c.waitLimit))
	// A line is read byte by byte, so that its end shows: some answers end with a carriage return,
	// some without.
	text, err := w.r.IsText()
	if err != nil {
		w.c.failf("%s waited for a line of text, and got %s", w.name, silence(err))
	}
	if !text {
		p, _ := w.next()
		w.c.failf("%s waited for a line of text, and got %s", w.name, p)
	}
	b, err := w.r.ReadLine()
	if err != nil {
		w.c.failf("%s waited for a line of text, and got %s", w.name, silence(err))
	}
	if cap(b) > len(b) && b[:len(b)+1][len(b)] == '\r' {
		return string(b) + "\r\n"
	}
	return string(b) + "\n"
}

func (w *wire) wantLine(command, want string) {
	if got := w.line(command); got != want {
		w.c.failf("the answer to %q: got %q, want %q", command, got, want)
	}
}

// rows sends a text command and returns the rows of its answer, sorted, because servers list in the
// order of their hash tables.
func (w *wire) rows(command string) []string {
	w.raw(command)
	var rows []string
	for {
		row := strings.TrimSuffix(w.readLine(), "\n")
		if row == "." {
			slices.Sort(rows)
			return rows
		}
		if strings.HasPrefix(row, "ERR ") {
			w.c.failf("the answer to %q: got %q, want rows", command, row)
		}
		rows = append(rows, row)
	}
}

// admin returns a connection for text commands, made once.
func (c *check) admin() *wire {
	if c.control == nil {
		c.control = c.dial("admin")
	}
	return c.control
}

// settles fails unless the rows of a text command become these, in any order.
func (c *check) settles(command string, want ...string) {
	slices.Sort(want)
	deadline := time.Now().Add(c.waitLimit)
	for {
		got := c.admin().rows(command)
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			c.failf("the rows of %q: got %q, want %q", strings.TrimSpace(command), got, want)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// status fails unless these are the rows of "status"; blanks stand for the tabs.
func (c *check) status(want ...string) {
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], " ", "\t")
	}
	c.settles("status\n", want...)
}

// version requests the server's version.
func (c *check) version() proto.Version {
	return proto.ParseVersion(strings.TrimRight(c.admin().line("version\n"), "\r\n"))
}

func (c *check) equal(what string, got, want any) {
	if got != want {
		c.failf("%s: got %v, want %v", what, got, want)
	}
}
