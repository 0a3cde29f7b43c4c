package local

import (
	"bytes"
	"io"
	"sync"
)

// lines writes whole lines of many writers to one writer.
type lines struct {
	mu  sync.Mutex
	out io.Writer
}

// maxLine is the longest line that is kept whole.
const maxLine = 64 << 10

// from returns a writer whose lines get a name before them.
func (l *lines) from(name string) *lineWriter {
	return &lineWriter{lines: l, prefix: []byte("[" + name + "] ")}
}

type lineWriter struct {
	lines  *lines
	prefix []byte
	rest   []byte // a line that has not ended yet
}

// Write accepts all of b; an output error doesn't stop the workers.
func (w *lineWriter) Write(b []byte) (int, error) {
	n := len(b)
	for {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			break
		}
		w.rest = append(w.rest, b[:end]...)
		w.flush()
		b = b[end+1:]
	}
	w.rest = append(w.rest, b...)
	if len(w.rest) > maxLine {
		w.flush()
	}
	return n, nil
}

// flush writes an incomplete line.
func (w *lineWriter) flush() {
	if len(w.rest) == 0 {
		return
	}
	line := append(append(bytes.Clone(w.prefix), w.rest...), '\n')
	w.rest = w.rest[:0]
	w.lines.mu.Lock()
	defer w.lines.mu.Unlock()
	_, _ = w.lines.out.Write(line)
}
