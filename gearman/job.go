package gearman

// JobID names a job: a handle means nothing without its server.
type JobID struct {
	Server string // ip:port
	Handle string
}

// String gives "handle@server".
func (id JobID) String() string { return id.Handle + "@" + id.Server }

// Priority of a job within its function.
type Priority int

// The priorities.
const (
	Normal Priority = iota
	High
	Low
)
