package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// ErrJobDone is returned by calls on a job that has ended.
var ErrJobDone = errors.New("the job has ended")

// Job is a job that is being processed. Its methods may be called from several goroutines until the
// handler has returned.
type Job struct {
	handle     string
	unique     string  // as the job server reports it
	key        string  // identifies the job through its attempts, see splitKey
	attempt    int     // from its key
	again      int     // earlier runs in this slot
	next       Outcome // Retried or Buried, once that is confirmed
	fn         *function
	slot       int
	server     string
	payload    []byte
	spool      *os.File // used instead of payload
	payloadErr error    // why the job has neither
	size       int64

	epoch  uint64  // the server's epoch when the job arrived, see server
	shared *shared // nil: nobody waits for this run; underway guards it

	link *link
	sent atomic.Int64 // bytes of the result, data and warnings
	// Used only by the goroutine that runs the job.
	done   Done
	exited bool // the handler ended the goroutine
	joined bool // another job has the outcome

	mu         sync.Mutex
	ended      bool // nothing may be sent any more
	late       bool // the worker failed it before the handler returned
	resultFrom io.Reader
	resultSize int64
}

// ID returns the job's handle and job server.
func (j *Job) ID() gearman.JobID { return gearman.JobID{Server: j.server, Handle: j.handle} }

// Handle returns the job's handle, which is unique on its job server.
func (j *Job) Handle() string { return j.handle }

// Key returns the unique key that the client gave the job. It is empty if there is none, or if the
// job server doesn't report it (Perl's). From the second attempt on, a key of more than about 50
// bytes is replaced by its hash.
func (j *Job) Key() gearman.Key {
	if strings.HasPrefix(j.key, madeIdent) && j.attempt > 1 {
		return ""
	}
	return gearman.Key(j.key)
}

// Identity returns a string that is the same for all attempts of a job. From the second attempt on,
// this includes jobs without a key. It is empty for the first attempt of a job without a key.
func (j *Job) Identity() string {
	if j.key == "-" {
		return ""
	}
	return j.key
}

// Function returns the name of the function, without Options.Prefix.
func (j *Job) Function() string { return j.fn.name }

// Server returns the address (ip:port) of the job server.
func (j *Job) Server() string { return j.server }

// ServerVersion returns the version that the job server reported.
func (j *Job) ServerVersion() proto.Version {
	if j.link == nil { // a test made the job
		return proto.Version{}
	}
	return j.link.version
}

// Slot returns the number of the slot that runs the job, from 0.
func (j *Job) Slot() int { return j.slot }

// Size returns the size of the payload in bytes.
func (j *Job) Size() int64 { return j.size }

// Payload returns the data that the client sent with the job. The handler may keep and change it.
// It is nil if the payload was spooled.
func (j *Job) Payload() []byte { return j.payload }

// Spool returns the file that the payload was written to, positioned at its start and open for
// reading, or nil if the payload is in memory. The worker removes it when the job has ended. Its
// name may be gone already, so pass the file, not the name.
func (j *Job) Spool() *os.File { return j.spool }

// Reader returns a reader of the payload from its start, whether it is in memory or spooled. The
// readers of one job are independent of each other and of Spool's position.
func (j *Job) Reader() *io.SectionReader {
	if j.spool != nil {
		return io.NewSectionReader(j.spool, 0, j.size)
	}
	return io.NewSectionReader(bytes.NewReader(j.payload), 0, j.size)
}

// CanRequeue reports whether ErrRequeue makes this job's server give it to another worker.
func (j *Job) CanRequeue() bool { return j.ServerVersion().Dialect.Requeues() }

// ResultFrom makes the next size bytes of r the job's result, instead of the bytes that the handler
// returns. The result is sent when the handler has returned a nil error, and is not held in memory.
// r is then closed if it is an io.Closer. If r returns fewer bytes, the connection is dropped,
// which requeues the job.
func (j *Job) ResultFrom(r io.Reader, size int64) error {
	if err := checkSize(size); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ended {
		return ErrJobDone
	}
	j.resultFrom, j.resultSize = r, size
	return nil
}

func checkSize(size int64) error {
	if size < 0 || size > proto.MaxData-proto.MaxTextLine {
		return fmt.Errorf("a packet can't carry %d bytes", size)
	}
	return nil
}
