package backlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	// firstRead is the buffer size until the first bytes arrive, which takes seconds if a job
	// server hangs.
	firstRead = 512
	// chunkSize is how much of an answer is in memory at a time, and longChunkSize how much if a
	// row needs it and fewer than longChunks of them are in use. The data of a slow job server
	// stays in memory for seconds.
	chunkSize     = 4 << 10
	longChunkSize = 64 << 10
	longChunks    = 64
	// maxAnswer bounds one answer, in bytes: 18,000 connections that serve 64 functions each fit
	// twice.
	maxAnswer = 64 << 20
	// firstAnswer bounds the answers of a job server that has not answered yet. The bound doubles
	// with each accepted `status`, up to maxAnswer.
	firstAnswer = 4 << 20
)

var errBadAnswer = errors.New("not an answer of a job server")

var (
	firsts   = sync.Pool{New: func() any { return new([firstRead]byte) }}
	chunks   = sync.Pool{New: func() any { return new([chunkSize]byte) }}
	longRows = make(lane, longChunks)
)

// readAnswer reads rows up to the line "." that is directly followed by the bytes of end, and
// passes them to each, a batch of whole lines at a time. Of a row longer than a chunk it passes
// only the start. end must not contain a line feed, and must be known to the peer only: then a row
// that happens to look like the end of an answer is a row like any other. The answer may have limit
// bytes.
func readAnswer(r io.Reader, end []byte, limit int, each func(rows []byte)) error {
	first := firsts.Get().(*[firstRead]byte)
	defer firsts.Put(first)
	n, err := r.Read(first[:])
	if n > 0 {
		r = &prefixReader{start: first[:n], err: err, Reader: r}
	} else if err != nil {
		r = &prefixReader{err: err, Reader: r}
	}
	chunk := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(chunk)
	buf := chunk[:]
	held, total := 0, 0
	long := false
	cut, dot := false, false // the line in buf is the rest of a long one; the line before it was "."
	for {
		n, err := r.Read(buf[held:])
		held += n
		if total += n; total > limit {
			return fmt.Errorf("%w: longer than %d bytes", errBadAnswer, limit)
		}
		if n == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		// Only the new bytes can contain a line end, so a peer that sends byte by byte costs no
		// more.
		if at := bytes.LastIndexByte(buf[held-n:held], '\n'); at >= 0 {
			whole := held - n + at + 1
			lines := buf[:whole]
			if cut {
				lines = lines[bytes.IndexByte(lines, '\n')+1:]
			}
			cut, dot = false, endsInDot(lines)
			if len(lines) > 0 {
				each(lines)
			}
			held = copy(buf, buf[whole:held])
		}
		switch {
		case !cut && bytes.HasPrefix(buf[:held], end):
			if !dot || held > len(end) {
				return fmt.Errorf("%w: its end is not where it should be", errBadAnswer)
			}
			return nil
		case held == len(buf):
			if !cut && !long {
				select {
				case longRows <- struct{}{}:
					defer longRows.leave()
					long = true
					buf = append(make([]byte, 0, longChunkSize), buf...)[:longChunkSize]
					continue
				default:
				}
			}
			if !cut {
				each(buf)
			}
			cut, held = true, 0
		}
	}
}

// prefixReader is a reader of which a start, and perhaps an error, has already been read.
type prefixReader struct {
	io.Reader
	start []byte
	err   error
}

func (b *prefixReader) Read(p []byte) (n int, err error) {
	if len(b.start) == 0 && b.err == nil {
		return b.Reader.Read(p)
	}
	n = copy(p, b.start)
	if b.start = b.start[n:]; len(b.start) == 0 {
		err, b.err = b.err, nil
	}
	return n, err
}

// endsInDot reports whether the last of these whole lines is ".".
func endsInDot(lines []byte) bool {
	lines = bytes.TrimSuffix(bytes.TrimSuffix(lines, []byte("\n")), []byte("\r"))
	return len(lines) > 0 && lines[len(lines)-1] == '.' && (len(lines) == 1 || lines[len(lines)-2] == '\n')
}

// isDot reports whether a line is the one that ends an answer, or a row that looks like it.
func isDot(line []byte) bool { return len(line) == 1 && line[0] == '.' }

// nextLine cuts the first line off rows, without its end.
func nextLine(rows []byte) (line, rest []byte) {
	before, after, ok := bytes.Cut(rows, []byte{'\n'})
	if !ok {
		return rows, nil
	}
	line, rest = before, after
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, rest
}
