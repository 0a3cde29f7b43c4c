package execmode

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
)

// input is a command's standard input. It is a pipe for any size of workload: programs check the
// kind of the descriptor, and behave differently for a file or /dev/null.
type input struct {
	fd   int // the pipe's write end, non-blocking; -1 when closed
	job  *job.Job
	sent int64
	buf  []byte // of a workload in a file
	// unwatch takes the pipe out of an epoll set before it is closed. While another process is
	// being started it holds a copy of the descriptor for a moment, and the set would report the
	// old pipe under a number that has a new meaning.
	unwatch func(fd int)
}

// open makes the pipe, writes as much as fits, and returns its read end.
func (in *input) open(j *job.Job, size int64) (readEnd int, err error) {
	readEnd, writeEnd, err := process.Pipe()
	if err != nil {
		return -1, err
	}
	in.fd, in.job, in.sent = writeEnd, j, 0
	if size == 0 {
		in.close()
		return readEnd, nil
	}
	if err := unix.SetNonblock(writeEnd, true); err != nil {
		in.close()
		unix.Close(readEnd)
		return -1, os.NewSyscallError("fcntl", err)
	}
	if err := in.write(); err != nil {
		in.close()
		unix.Close(readEnd)
		return -1, fmt.Errorf("read the workload: %w", err)
	}
	return readEnd, nil
}

// write writes as much as the pipe can hold now, and closes it after the last byte or when it has
// no reader any more. An error comes from reading the spool file.
func (in *input) write() error {
	for in.fd >= 0 {
		chunk, err := in.chunk()
		if err != nil {
			return err
		}
		n, err := unix.Write(in.fd, chunk)
		if n > 0 {
			in.sent += int64(n)
		}
		switch {
		case in.sent == in.job.Size:
			in.close()
		case err == nil, errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return nil
		default: // EPIPE: a command that does not read its workload is fine
			in.close()
		}
	}
	return nil
}

// chunk returns the next part of the workload.
func (in *input) chunk() ([]byte, error) {
	if in.job.File == nil {
		return in.job.Body[in.sent:], nil
	}
	if in.buf == nil {
		in.buf = make([]byte, 64<<10)
	}
	n, err := in.job.File.ReadAt(in.buf[:min(int64(len(in.buf)), in.job.Size-in.sent)], in.sent)
	if err != nil && (!errors.Is(err, io.EOF) || n == 0) {
		return nil, err
	}
	return in.buf[:n], nil
}

func (in *input) close() {
	if in.fd >= 0 {
		if in.unwatch != nil {
			in.unwatch(in.fd)
		}
		unix.Close(in.fd)
		in.fd = -1
	}
	in.job, in.unwatch = nil, nil
}
