package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// longestArgs is the maximum length of the arguments of an assignment. A job server that sent more
// would have accepted a submission over its own limits.
const longestArgs = proto.MaxHandle + proto.MaxFunction + 8 + 2*proto.MaxUnique

// readJob reads the rest of an assignment: its payload into memory of its own, or into a file.
func (l *link) readJob(h proto.Header) (*Job, error) {
	in, c := l.in, l.c
	front, err := in.Peek(longestArgs)
	if err != nil {
		return nil, err
	}
	a, err := proto.Packet{Dir: h.Dir, Type: h.Type, Data: front}.Assignment()
	if err != nil {
		return nil, err
	}
	fn := c.w.functions[string(a.Function)]
	if fn == nil {
		return nil, fmt.Errorf("a job of function %.80q, which is not registered", a.Function)
	}
	text, payload := own(front, len(front)-len(a.Payload), int64(len(front)) == in.Rest())
	unique := text[len(a.Handle)+1+len(a.Function)+1:]
	job := &Job{
		handle: text[:len(a.Handle)], unique: unique[:len(a.Unique)], fn: fn,
		slot: c.slot.id, server: c.server.ep.Addr, link: l,
		epoch: c.server.epoch.Load(),
	}
	job.attempt, job.key = splitKey(job.unique)
	if err := in.Discard(len(front) - len(a.Payload)); err != nil {
		return nil, err
	}
	job.size = in.Rest()
	if limit := c.w.o.MaxPayload; limit > 0 && job.size > limit {
		job.payloadErr = fmt.Errorf(
			"a payload of %d bytes (limit %d, Options.MaxPayload): %w", job.size, limit,
			proto.ErrTooLarge,
		)
		_, err := io.Copy(io.Discard, in) // read it all the same, so that the connection stays usable for other jobs
		if err == nil && in.Rest() > 0 {
			err = io.ErrUnexpectedEOF
		}
		return job, err
	}
	if limit := c.w.o.SpoolAbove; limit > 0 && job.size > limit {
		return job, l.readSpool(job)
	}
	if payload != nil {
		job.payload = payload
		return job, in.Discard(len(payload))
	}
	job.payload, err = readExactly(in, job.size)
	return job, err
}

// own copies an assignment, of which the first args bytes are before the payload. A payload that is
// complete shares one allocation with the text before it, which saves each job an allocation.
func own(front []byte, args int, complete bool) (text string, payload []byte) {
	if !complete {
		return string(front[:args]), nil
	}
	b := bytes.Clone(front)
	return unsafe.String(&b[0], args), b[args:] //nolint:gosec // nobody can change b[:args] from now on
}

// readExactly reads size bytes. It allocates memory for them as they arrive, so that a large size
// alone costs nothing.
func readExactly(in io.Reader, size int64) ([]byte, error) {
	const step = 1 << 20
	buf := make([]byte, min(size, step))
	for have := 0; ; {
		n, err := io.ReadFull(in, buf[have:])
		have += n
		if err != nil {
			return nil, unexpected(err)
		}
		if int64(have) == size {
			return buf, nil
		}
		bigger := make([]byte, min(size, 4*int64(have)))
		copy(bigger, buf)
		buf = bigger
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readSpool writes the payload to a file that has already been unlinked, so that nothing is left of
// it however the process ends. If the payload can't be written to the file, the rest is read all
// the same: the connection stays usable for other jobs, and dropping it would only pass this job to
// the next worker. OnSpoolError then decides the outcome of the job.
func (l *link) readSpool(job *Job) error {
	w := &spoolWriter{}
	f, err := os.CreateTemp(l.c.w.o.SpoolDir, "gearman-job-*")
	if err == nil {
		job.spool, w.file = f, f
		err = os.Remove(f.Name())
	}
	w.err = err
	_, err = io.Copy(w, l.in)
	if err == nil && l.in.Rest() > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err == nil && w.err == nil {
		_, w.err = f.Seek(0, io.SeekStart)
	}
	if err != nil || w.err != nil {
		job.removeSpool() // remove it now, since the space is needed
		job.spool = nil
	}
	if err != nil {
		return fmt.Errorf("spool a payload of %d bytes: %w", job.size, err)
	}
	if w.err != nil {
		job.payloadErr = fmt.Errorf("spool a payload of %d bytes: %w", job.size, w.err)
	}
	return nil
}

// spoolWriter writes to a file until an error occurs, and afterwards discards the data.
type spoolWriter struct {
	file *os.File
	err  error
}

func (w *spoolWriter) Write(p []byte) (int, error) {
	if w.err == nil {
		_, w.err = w.file.Write(p)
	}
	return len(p), nil
}

func (j *Job) removeSpool() {
	if j.spool == nil {
		return
	}
	// Closing frees the file, whose name is gone. It may have been closed already, for example by a
	// handler that passed it on.
	if err := j.spool.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		j.link.c.w.o.Logger.Warn("Spool file could not be closed", "error", err)
	}
}
