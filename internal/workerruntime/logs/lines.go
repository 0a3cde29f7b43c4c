package logs

import "bytes"

// Lines cuts a stream of bytes into lines. A line longer than Max is cut into pieces of that size.
type Lines struct {
	// Max is the length of the longest line, in bytes.
	Max int
	// Line is called with each line without its end; it must not keep the slice.
	Line func(line []byte)

	partial []byte
}

// Add adds the next bytes of the stream.
func (l *Lines) Add(p []byte) {
	for len(p) > 0 {
		line, rest, ended := bytes.Cut(p, []byte{'\n'})
		for len(l.partial)+len(line) > l.Max {
			room := l.Max - len(l.partial)
			l.emit(line[:room])
			line = line[room:]
		}
		if !ended {
			l.partial = append(l.partial, line...)
			return
		}
		l.emit(line)
		p = rest
	}
}

// Flush passes on a last line that has no end.
func (l *Lines) Flush() {
	if len(l.partial) > 0 {
		l.emit(nil)
	}
}

func (l *Lines) emit(tail []byte) {
	line := tail
	if len(l.partial) > 0 {
		l.partial = append(l.partial, tail...)
		line = l.partial
	}
	l.Line(bytes.TrimSuffix(line, []byte{'\r'}))
	l.partial = l.partial[:0]
}

// Tail keeps the last Max bytes of what is added to it.
type Tail struct {
	Max int
	buf []byte
}

// Add appends bytes.
func (t *Tail) Add(p []byte) {
	if len(p) > t.Max {
		p = p[len(p)-t.Max:]
	}
	if over := len(t.buf) + len(p) - t.Max; over > 0 {
		t.buf = t.buf[:copy(t.buf, t.buf[over:])]
	}
	t.buf = append(t.buf, p...)
}

// Bytes returns what was kept.
func (t *Tail) Bytes() []byte { return t.buf }

// Reset drops what was kept.
func (t *Tail) Reset() { t.buf = t.buf[:0] }
