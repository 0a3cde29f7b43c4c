package frame

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
)

// ErrEnded is returned when a handler ends before its answer does.
var ErrEnded = errors.New("the handler ended before its answer was complete")

// ReadAnswer reads messages up to a job's last one, and passes progress on. All must carry id,
// unless it is 0. An error means that the sender can't be used any more; the outcome is empty then.
func ReadAnswer(br *bufio.Reader, id uint64, limits spool.Limits, r job.Reporter) (job.Outcome, error) {
	for {
		h, err := ReadHeader(br)
		if err != nil {
			return job.Outcome{}, ended(err)
		}
		if id != 0 && h.ID != id {
			return job.Outcome{}, fmt.Errorf("%w: %.40q carries id %d, the job has %d", ErrGarbage, h.Type, h.ID, id)
		}
		// Errors of the reporter mean that the connection to the job server is lost, and the job
		// with it. The handler may still finish the job.
		switch h.Type {
		case "status":
			if h.Bytes != 0 {
				return job.Outcome{}, fmt.Errorf("%w: a status has no bytes", ErrGarbage)
			}
			_ = r.Status(h.Numerator, h.Denominator)
		case "data":
			if err := chunks(br, h.Bytes, r.Data); err != nil {
				return job.Outcome{}, err
			}
		case "warning":
			if err := chunks(br, h.Bytes, r.Warning); err != nil {
				return job.Outcome{}, err
			}
		case "complete":
			return result(br, h.Bytes, limits)
		case "fail":
			text, err := text(br, h.Bytes)
			if err != nil {
				return job.Outcome{}, err
			}
			o := job.Failf(job.Rejected, "%s", text)
			o.Permanent = h.Permanent
			return o, nil
		default:
			return job.Outcome{}, fmt.Errorf("%w: no message is called %.40q", ErrGarbage, h.Type)
		}
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrEnded
	}
	return err
}

// chunks passes n bytes on in pieces.
func chunks(br *bufio.Reader, n int64, send func([]byte) error) error {
	if n == 0 {
		_ = send(nil)
		return nil
	}
	buf := make([]byte, min(n, 256<<10))
	for n > 0 {
		p := buf[:min(n, int64(len(buf)))]
		if _, err := io.ReadFull(br, p); err != nil {
			return ended(err)
		}
		_ = send(p)
		n -= int64(len(p))
	}
	return nil
}

func result(br *bufio.Reader, n int64, limits spool.Limits) (job.Outcome, error) {
	b := spool.Buffer{Limits: limits}
	if err := b.ReadFull(br, n); err != nil {
		b.Discard()
		return job.Outcome{}, ended(err)
	}
	o := job.Outcome{Kind: job.Completed, Reason: job.OK}
	o.Result, o.ResultFile, o.ResultSize = b.Take()
	return o, nil
}

// maxText is how many bytes of a failure's text are kept.
const maxText = 64 << 10

func text(br *bufio.Reader, n int64) ([]byte, error) {
	text := make([]byte, min(n, maxText))
	if _, err := io.ReadFull(br, text); err != nil {
		return nil, ended(err)
	}
	if _, err := io.CopyN(io.Discard, br, n-int64(len(text))); err != nil {
		return nil, ended(err)
	}
	return text, nil
}
