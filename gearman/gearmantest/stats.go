package gearmantest

import (
	"maps"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// Stats are counts since the server was created; a restart does not reset them.
type Stats struct {
	Open      int    // connections now
	Accepted  uint64 // connections ever
	BytesIn   uint64
	BytesOut  uint64
	Requests  map[proto.Type]uint64 // binary packets by type; only received types
	Commands  map[string]uint64     // text commands by first word, unknown ones as "other"; only received ones
	JobsAdded uint64                // jobs created, including those of Submit; not those that coalesced
}

// Total is the number of requests of both protocols.
func (st Stats) Total() uint64 {
	var n uint64
	for v := range maps.Values(st.Requests) {
		n += v
	}
	for v := range maps.Values(st.Commands) {
		n += v
	}
	return n
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.unlock()
	st := Stats{
		Open: len(s.conns), Accepted: s.accepted, BytesIn: s.read.Load(), BytesOut: s.wrote.Load(),
		Requests: map[proto.Type]uint64{}, Commands: map[string]uint64{}, JobsAdded: s.jobsBefore + s.q.created,
	}
	for t, n := range s.requests {
		if n > 0 {
			st.Requests[proto.Type(t)] = n
		}
	}
	for word, n := range s.lines {
		if *n > 0 {
			st.Commands[word] = *n
		}
	}
	if s.otherLines > 0 {
		st.Commands["other"] = s.otherLines
	}
	return st
}

// FunctionStatus is a row of the server's response to "status".
type FunctionStatus struct {
	Name    string
	Total   int // queued, delayed, abandoned and running jobs
	Running int
	Workers int // registrations: CAN_DO twice on a connection counts twice
}

// Function returns the counts of a function; all are zero if the server doesn't know it.
func (s *Server) Function(name string) FunctionStatus {
	s.mu.Lock()
	defer s.unlock()
	f := s.q.byName[name]
	if f == nil {
		return FunctionStatus{Name: name}
	}
	return FunctionStatus{Name: f.name, Total: f.total, Running: f.running, Workers: f.workers}
}

// Submit adds a background job like SUBMIT_JOB_BG, without a connection, and returns its handle.
// The handle is empty if the function's queue is full.
func (s *Server) Submit(function, key string, payload []byte) string {
	s.mu.Lock()
	defer s.unlock()
	j := s.q.submit(submission{function: []byte(function), unique: []byte(key), data: payload, prio: normal}, nil)
	if j == nil {
		return ""
	}
	return j.handle
}
