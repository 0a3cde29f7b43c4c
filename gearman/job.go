package gearman

// JobID identifies a job: a handle means nothing without its job server.
type JobID struct {
	Server string // ip:port
	Handle string
}

// String returns "handle@server".
func (id JobID) String() string { return id.Handle + "@" + id.Server }

// Priority is the priority of a job within its function.
type Priority int

// The priorities.
const (
	Normal Priority = iota
	High
	Low
)
