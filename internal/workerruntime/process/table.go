package process

import "sync"

// Table knows the processes that this worker started. It distinguishes them from orphans: processes
// that lost their parent and that this one adopted, because it is process 1 of its container or a
// subreaper.
type Table struct {
	// starting is held for reading from fork until the child is in pids, so that orphans are reaped
	// only while every child is registered.
	starting sync.RWMutex

	mu   sync.Mutex
	pids map[int]struct{}

	noPidfd bool // tests the code for kernels without pidfds
}

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{pids: make(map[int]struct{})}
}

func (t *Table) add(pid int) {
	t.mu.Lock()
	t.pids[pid] = struct{}{}
	t.mu.Unlock()
}

func (t *Table) remove(pid int) {
	t.mu.Lock()
	delete(t.pids, pid)
	t.mu.Unlock()
}

func (t *Table) owns(pid int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.pids[pid]
	return ok
}

// Len is the number of processes that are running or not yet reaped by their owners.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.pids)
}

// NewTableWithoutPidfd returns a table whose processes are watched as on a kernel without pidfds,
// for tests.
func NewTableWithoutPidfd() *Table {
	t := NewTable()
	t.noPidfd = true
	return t
}
