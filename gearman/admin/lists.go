package admin

import (
	"context"
	"slices"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// FunctionStatus is the state of a function's queue.
type FunctionStatus struct {
	Function string
	// Total is how many jobs the job server holds: queued, running, delayed until their time, and
	// those canceled or abandoned by their client that no worker has come across yet.
	Total uint64
	// Running is how many of them workers are running. gearmand has been seen to report -1.
	Running int64
	// Workers is how often workers registered the function; a worker that registered it twice
	// counts twice.
	Workers uint64
}

// Queued returns how many jobs are waiting: Total less Running, never below zero.
func (s FunctionStatus) Queued() uint64 {
	running := uint64(max(s.Running, 0))
	return s.Total - min(running, s.Total)
}

// Status lists the functions that the job server knows. gearmand lists all functions that it has
// ever known, Perl's server only those with jobs or workers. On gearmand the time it takes is
// proportional to the number of functions (0.2 ms for 1,000), not of jobs.
func (c *Conn) Status(ctx context.Context) ([]FunctionStatus, error) {
	var names arena
	var out []FunctionStatus
	err := c.rows(ctx, "status", func(line []byte) error {
		row, err := proto.ParseStatusRow(line)
		if err != nil {
			return err
		}
		names.add(row.Function)
		out = append(out, FunctionStatus{Total: row.Total, Running: row.Running, Workers: row.Workers})
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, name := range names.all() {
		out[i].Function = name
	}
	return out, nil
}

// PriorityStatus is the queue of a function by priority, without its running jobs.
type PriorityStatus struct {
	Function                   string
	High, Normal, Low, Workers uint64
}

// PriorityStatus lists queued jobs by priority. gearmand serves nothing else while it responds, for
// a time proportional to the number of jobs (22 ms for a million), and 1.1.20 can hang for good in
// it after CAN_DO_TIMEOUT has expired twice on one connection: don't poll it.
func (c *Conn) PriorityStatus(ctx context.Context) ([]PriorityStatus, error) {
	var out []PriorityStatus
	err := c.rows(ctx, "prioritystatus", func(line []byte) error {
		row, err := proto.ParsePriorityRow(line)
		if err == nil {
			out = append(out, PriorityStatus{string(row.Function), row.High, row.Normal, row.Low, row.Workers})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Connection is a connection that the job server knows: a worker, a client, or this one.
type Connection struct {
	// its file descriptor in the job server, which is unique among the connections of one moment;
	// -1 while gearmand closes it
	FD        int64
	IP        string   // the peer's address
	ID        string   // what SET_CLIENT_ID set, "-" if nothing
	Functions []string // as registered, with repetitions; a name that contains a blank is listed as several
}

// Workers lists the job server's connections.
func (c *Conn) Workers(ctx context.Context) ([]Connection, error) {
	var out []Connection
	seen := make(map[string]string) // workers share functions: each name is kept once
	err := c.rows(ctx, "workers", func(line []byte) error {
		row, err := proto.ParseWorkerRow(line)
		if err != nil {
			return err
		}
		w := Connection{FD: row.FD, IP: intern(seen, row.IP), ID: string(row.ID)}
		for name := range row.Functions {
			w.Functions = append(w.Functions, intern(seen, name))
		}
		out = append(out, w)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Job is a job that gearmand holds. The list doesn't include the function.
type Job struct {
	Handle    string
	Retries   uint64 // how many workers were lost while they ran it
	Ignored   bool   // canceled, or its client left: dropped when a worker comes across it
	Persisted bool   // a background job
}

// Jobs lists all jobs (gearmand's "show jobs"). The job server serves nothing else while it
// responds, for a time proportional to the number of jobs (588 ms for 1.1 million): don't poll it.
func (c *Conn) Jobs(ctx context.Context) ([]Job, error) {
	var out []Job
	err := c.rows(ctx, "show jobs", func(line []byte) error {
		row, err := proto.ParseJobRow(line)
		if err == nil {
			out = append(out, Job{string(row.Handle), row.Retries, row.Ignored, row.Persisted})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// UniqueJob is a job's unique key.
type UniqueJob struct {
	Handle string // empty before gearmand 2.2.0, which is the first to report it
	Unique string // empty for a job without a key
}

// UniqueJobs lists the unique keys of all jobs (gearmand's "show unique jobs"). The format of the
// response depends on the job server's version, which the connection requests the first time. The
// job server serves nothing else while it responds, for a time proportional to the number of jobs:
// don't poll it.
func (c *Conn) UniqueJobs(ctx context.Context) ([]UniqueJob, error) {
	v := c.version.Load()
	if v == nil {
		asked, err := c.Version(ctx)
		if err != nil {
			return nil, err
		}
		v = &asked
	}
	var out []UniqueJob
	err := c.rows(ctx, "show unique jobs", func(line []byte) error {
		if r, ok := proto.ParseReply(line); ok && r.Err != nil && len(out) == 0 {
			return proto.ErrRow // the error for an unknown command, which rows recognizes
		}
		row, err := proto.ParseUniqueRow(line, *v)
		if err == nil {
			out = append(out, UniqueJob{Handle: string(row.Handle), Unique: string(row.Unique)})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// An arena keeps many short strings in one allocation.
type arena struct {
	buf  []byte
	ends []int
}

func (a *arena) add(b []byte) {
	a.buf = append(a.buf, b...)
	a.ends = append(a.ends, len(a.buf))
}

func (a *arena) all() []string {
	text, start := string(a.buf), 0
	out := slices.Grow([]string(nil), len(a.ends))
	for _, end := range a.ends {
		out = append(out, text[start:end])
		start = end
	}
	return out
}

func intern(seen map[string]string, b []byte) string {
	if s, ok := seen[string(b)]; ok {
		return s
	}
	s := string(b)
	seen[s] = s
	return s
}
