package backlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	// chunkSize is how much of an answer is held at a time; the longest row that is looked at.
	chunkSize = 64 << 10
	// maxAnswer bounds one answer, in bytes: 18,000 connections that serve 64 functions each fit twice.
	maxAnswer = 64 << 20
)

var errBadAnswer = errors.New("not an answer of a job server")

var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// readAnswer reads an answer of rows up to the line "." that ends it, and gives the rows to each a batch at a time, in whole lines: each can take a lock for as long
// as it looks at a batch, and no lock is held while the network is waited for. With cutLong, of a row that is longer than a chunk the start is given;
// otherwise such a row is a bad answer. Bytes after the end make it a bad answer too: a name with a line end in it can fake one.
func readAnswer(r io.Reader, cutLong bool, each func(rows []byte) error) error {
	chunk := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(chunk)
	buf := chunk[:]
	held, total, skipping := 0, 0, false
	for {
		n, err := r.Read(buf[held:])
		held += n
		if total += n; total > maxAnswer {
			return fmt.Errorf("%w: longer than %d bytes", errBadAnswer, maxAnswer)
		}
		if n == 0 && err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if bytes.IndexByte(buf[held-n:held], '\n') < 0 && held < len(buf) {
			continue // nothing new to look at: a peer that sends byte by byte costs no more than one that doesn't
		}
		rows := buf[:held]
		if skipping {
			i := bytes.IndexByte(rows, '\n')
			if i < 0 {
				held = 0
				continue
			}
			rows, skipping = rows[i+1:], false
		}
		end := bytes.LastIndexByte(rows, '\n') + 1
		whole, rest := rows[:end], rows[end:]
		done := false
		if at, after := findEnd(whole); at >= 0 {
			if after < len(whole) || len(rest) > 0 {
				return fmt.Errorf("%w: bytes after its end", errBadAnswer)
			}
			whole, done = whole[:at], true
		}
		if len(whole) > 0 {
			if err := each(whole); err != nil {
				return err
			}
		}
		if done {
			return nil
		}
		if len(rest) == chunkSize {
			if !cutLong {
				return fmt.Errorf("%w: a row of more than %d bytes", errBadAnswer, chunkSize)
			}
			if err := each(rest); err != nil {
				return err
			}
			skipping, rest = true, rest[:0]
		}
		held = copy(buf, rest)
	}
}

// findEnd finds the first line "." (or ".\r") among whole lines: where it starts and where what follows it does; -1 where there is none.
func findEnd(lines []byte) (at, after int) {
	at = -1
	// Almost always it is the last line or not there at all.
	for _, end := range []string{".\n", ".\r\n"} {
		if bytes.HasPrefix(lines, []byte(end)) {
			return 0, len(end)
		}
		if i := bytes.Index(lines, []byte("\n"+end)); i >= 0 && (at < 0 || i+1 < at) {
			at, after = i+1, i+1+len(end)
		}
	}
	return at, after
}

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
