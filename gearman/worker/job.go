package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// ErrJobDone is returned by calls on a job that has ended.
var ErrJobDone = errors.New("the job has ended")

// Job is a job in work. Its methods may be called from several goroutines until the handler has
// returned.
type Job struct {
	handle     string
	unique     string  // as the server has it
	key        string  // what identifies the job through its attempts, see splitKey
	attempt    int     // by its key
	again      int     // runs in the slot before this one
	next       Outcome // Retried or Buried, once that is confirmed
	fn         *function
	slot       int
	server     string
	version    proto.Version
	payload    []byte
	spool      *os.File // instead of payload
	payloadErr error    // why there is neither
	size       int64

	epoch uint64 // of the server's connections when it came, see server
	// See underway, which guards them.
	settled   chan struct{} // closed when the run has ended; nil while nobody waits for it
	heir      *Job          // the same job, given to another slot, which sends the outcome
	joined    bool          // heir has the outcome
	inherited struct {
		result []byte
		err    error
	}

	link *link
	// Of the goroutine that runs the job alone.
	done   Done
	exited bool // the handler ended the goroutine

	mu         sync.Mutex
	ended      bool // nothing may be sent any more
	late       bool // it was failed before the handler returned
	resultFrom io.Reader
	resultSize int64
	sent       int64 // bytes of the result, of data and warnings
}

// ID names the job, with its server.
func (j *Job) ID() gearman.JobID { return gearman.JobID{Server: j.server, Handle: j.handle} }

// Handle is the server's name for the job, unique on that server.
func (j *Job) Handle() string { return j.handle }

// Key is the unique key that the client gave the job. It is empty if there is none, or if the
// server doesn't tell (Perl's). At later attempts than the first a key of more than some 50 bytes
// is a hash of it.
func (j *Job) Key() gearman.Key {
	if strings.HasPrefix(j.key, madeIdent) && j.attempt > 1 {
		return ""
	}
	return gearman.Key(j.key)
}

// Identity is what the attempts of a job have in common, from the second one on also of a job
// without a key. It is empty for the first attempt of a job without a key.
func (j *Job) Identity() string {
	if j.key == "-" {
		return ""
	}
	return j.key
}

// Function is the name that the job's handler was registered by.
func (j *Job) Function() string { return j.fn.name }

// Server is the address (ip:port) of the job server.
func (j *Job) Server() string { return j.server }

// ServerVersion is what the job server says it is.
func (j *Job) ServerVersion() proto.Version { return j.version }

// Slot is the slot that runs the job, from 0.
func (j *Job) Slot() int { return j.slot }

// Size is the size of the payload in bytes.
func (j *Job) Size() int64 { return j.size }

// Payload is what the client sent with the job, which the handler may keep and change. It is nil if
// it was spooled.
func (j *Job) Payload() []byte { return j.payload }

// Spool is the file that the payload was written to, at its start and open for reading, or nil if
// the payload is in memory. The worker removes it when the job has ended; its name may be gone
// already, so pass the file, not the name.
func (j *Job) Spool() *os.File { return j.spool }

// Reader reads the payload from its start, wherever it is. Readers of one job are independent of
// each other and of Spool's position.
func (j *Job) Reader() *io.SectionReader {
	if j.spool != nil {
		return io.NewSectionReader(j.spool, 0, j.size)
	}
	return io.NewSectionReader(bytes.NewReader(j.payload), 0, j.size)
}

// CanRequeue says whether ErrRequeue makes this job's server give it to another worker.
func (j *Job) CanRequeue() bool { return j.version.Dialect.Requeues() }

// ResultFrom makes the job's result what r gives, size bytes, instead of what the handler returns.
// It is sent when the handler has returned a nil error, without being held in memory, and closed
// then if it is an io.Closer. A result that falls short drops the connection, which requeues the
// job.
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
