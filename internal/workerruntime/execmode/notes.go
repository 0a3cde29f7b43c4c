package execmode

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
)

// noteReader cuts the input of descriptor 3 into lines. The text after "data " or "warning " may be
// longer than max: it is passed on in parts, so that nothing is lost and little is held in memory.
type noteReader struct {
	max  int
	note func(line []byte)               // gets a whole line, or the first max bytes of a long one that is neither
	data func(warning bool, part []byte) // gets a part of a data or warning line that is longer than max
	long func(part []byte)               // handles the rest of a long line; nil: the line is short so far
	line []byte
}

// Add adds the next bytes.
func (n *noteReader) Add(p []byte) {
	for len(p) > 0 {
		part, rest, ended := bytes.Cut(p, []byte{'\n'})
		n.add(part)
		if !ended {
			return
		}
		n.Flush()
		p = rest
	}
}

func (n *noteReader) add(p []byte) {
	for len(n.line)+len(p) > n.max {
		room := n.max - len(n.line)
		n.line = append(n.line, p[:room]...)
		p = p[room:]
		n.passOn()
	}
	n.line = append(n.line, p...)
}

// passOn passes a full buffer on: the beginning of a long line or a later part of it.
func (n *noteReader) passOn() {
	part := n.line
	if n.long == nil {
		body, isData := bytes.CutPrefix(part, []byte("data "))
		warning := false
		if !isData {
			body, warning = bytes.CutPrefix(part, []byte("warning "))
		}
		if isData || warning {
			part = body
			n.long = func(part []byte) { n.data(warning, part) }
		} else {
			n.note(part)
			n.long = func([]byte) {}
		}
	}
	n.long(part)
	n.line = n.line[:0]
}

// Flush ends the line.
func (n *noteReader) Flush() {
	line := bytes.TrimSuffix(n.line, []byte{'\r'})
	switch {
	case n.long != nil:
		if len(line) > 0 {
			n.long(line)
		}
	case len(line) > 0:
		n.note(line)
	}
	n.line, n.long = n.line[:0], nil
}

func (r *run) noteData(warning bool, part []byte) {
	// Errors mean that the connection to the job server is lost, and the job with it. The command
	// may still finish.
	if warning {
		_ = r.job.Reporter.Warning(part)
		return
	}
	_ = r.job.Reporter.Data(part)
}

// note acts on one line of descriptor 3:
//
//	status 3/10    how far the job is
//	data TEXT      a part of the result, sent to the client now
//	warning TEXT   a warning to the client
//
// Anything else is logged, so that a command that uses descriptor 3 for its own purposes does not
// fail because of it.
func (r *run) note(line []byte) {
	word, rest, _ := bytes.Cut(line, []byte{' '})
	switch string(word) {
	case "status":
		if n, d, ok := parseStatus(rest); ok {
			_ = r.job.Reporter.Status(n, d) // the error is ignored as in noteData
			return
		}
	case "data":
		r.noteData(false, rest)
		return
	case "warning":
		r.noteData(true, rest)
		return
	}
	shown := line[:min(len(line), 200)]
	r.h.opts.LogLimit.Log(context.Background(), r.h.opts.Log, slog.LevelWarn,
		"Line on descriptor 3 is not valid; write status N/D, data TEXT or warning TEXT",
		slog.String("line", string(shown)), slog.String(
			"function", r.job.Function,
		), slog.String("handle", r.job.Handle))
}

// parseStatus reads "n/d" or "n d".
func parseStatus(s []byte) (n, d uint64, ok bool) {
	s = bytes.TrimSpace(s)
	i := bytes.IndexAny(s, "/ ")
	if i < 0 {
		return 0, 0, false
	}
	num, err := strconv.ParseUint(string(s[:i]), 10, 64)
	den, err2 := strconv.ParseUint(string(bytes.TrimSpace(s[i+1:])), 10, 64)
	return num, den, err == nil && err2 == nil
}
