package gearmantest

type priority uint8

// The priorities, in the order in which they are served.
const (
	high priority = iota
	normal
	low
	priorities
)

type loadKey struct {
	fn   *function
	load string
}

type function struct {
	name    string
	lines   [priorities]line
	queued  int // waiting jobs, including abandoned and delayed ones
	total   int // queued + running
	running int
	workers int // registrations, so a connection can count several times
	limit   [priorities]int
	asked   bool // Perl: it has had jobs since a worker last polled it in vain
	due     dueTimer
	// next starts the ring of sleepers: the registrations in the order in which they are woken.
	next *registration
}

// A dueTimer fires when the first delayed job of a function becomes due; at is 0 while it isn't
// set.
type dueTimer struct {
	at   int64 // seconds since 1970
	stop func()
}

// A line is the waiting jobs of one function with one priority.
type line struct {
	head, tail *job
	n          int
}

type job struct {
	handle    string
	fn        *function
	unique    string // as the server stores it: at most 63 bytes
	uniqueLen int    // as the client sent it
	reducer   string
	data      []byte
	load      bool // coalesced by payload
	prio      priority
	when      int64 // earliest start, in seconds since 1970; 0: at once
	retries   int
	numerator uint32
	denom     uint32
	progress  *[2]string // Perl: both as the worker sent them
	queuedOn  bool       // the last column of `show jobs`: a persistent queue would hold it
	abandoned bool       // canceled, or its foreground clients left: dropped when a worker comes across it

	worker     *registration // the registration that runs it
	waiters    list[waiter]
	inLine     *job // next in its line
	sameUnique *job
	node       node[job] // in queue.jobs
	held       heldJob   // in worker.held
}

// A waiter is a foreground submission whose connection waits for the job. One connection can wait
// for a job several times.
type waiter struct {
	peer   *peer
	job    *job
	byPeer node[waiter]
	byJob  node[waiter]
}

// A registration is one CAN_DO of one connection. Two CAN_DO make two registrations.
type registration struct {
	peer      *peer
	fn        *function
	timeoutMS int64
	held      *job // the jobs running under it, the last taken first
	byPeer    node[registration]
	ringNext  *registration
	ringPrev  *registration
}

type heldJob struct{ next, prev *job }

// A peer is a connection from the queue's point of view.
type peer struct {
	conn       *conn // its owner; nil in tests of the queue alone
	out        []byte
	dirty      bool
	fd         int
	ip         string
	id         string
	sleeping   bool
	rung       bool // a NOOP was sent since the last grab
	exceptions bool
	stuck      stuck
	regs       list[registration] // the last registered first, unless the server rotates
	waits      list[waiter]
	alarm      alarm
	node       node[peer]
}

// An alarm is a connection's only timer for CAN_DO_TIMEOUT.
type alarm struct {
	job  *job
	stop func()
}

// ready returns the first due job of a line, and the job before it.
func (l *line) ready(now int64) (before, j *job) {
	for j = l.head; j != nil && j.when != 0 && j.when > now; j = j.inLine {
		before = j
	}
	return before, j
}

func (l *line) push(j *job) {
	j.inLine = nil
	if l.head == nil {
		l.head = j
	} else {
		l.tail.inLine = j
	}
	l.tail = j
	l.n++
}

func (l *line) remove(before, j *job) {
	if before == nil {
		l.head = j.inLine
	} else {
		before.inLine = j.inLine
	}
	if l.tail == j {
		l.tail = before
	}
	l.n--
}
