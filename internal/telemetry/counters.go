package telemetry

// Counters are what one process did for one function since its start. They only rise while the
// process lives. A counter is a field here and an entry of [Counters.table], which all code in this
// package uses; internal/outcome counts the results of jobs with them.
type Counters struct {
	OK         int64 // jobs that completed
	Failed     int64 // jobs that failed
	Requeued   int64 // jobs requeued: unfinished, or submitted for their next attempt
	OKMillis   int64 // time spent on the completed jobs, ms
	BusyMillis int64 // time spent on all jobs, the running ones up to now included, ms

	DeadLettered int64 // of the failed jobs: those that went to the dead letter function
	Retried      int64 // of the requeued jobs: those that failed and were submitted for their next attempt
}

// numCounters is the number of fields of Counters.
const numCounters = 7

// counter describes one counter.
type counter struct {
	key   byte   // its letter in an id
	limit int64  // the largest value that an id carries
	value *int64 // its field
	// whole, if not nil, is the counter that this one is a part of, so that it can't be larger.
	whole *int64
	// optional counters have no field in an ID while they are 0, or if there is no room.
	optional bool
}

// The largest counters that an id carries. They are chosen so that an id with all counters but the
// optional ones, without a pod name, is at most 126 bytes long whatever its values: an id of 127
// bytes that doesn't end with the pod name was cut by the server, and the number at its end can't
// be trusted.
const (
	maxOK       = 9_999_999_999 // 25,000 jobs a second for four days
	maxFailed   = 999_999_999
	maxRequeued = 99_999_999
	maxMillis   = 999_999_999_999 // 100 slots busy for 115 days
)

// table describes c's counters, in their order in an id; the optional ones are last.
func (c *Counters) table() [numCounters]counter {
	return [...]counter{
		{key: 'n', limit: maxOK, value: &c.OK},
		{key: 'e', limit: maxFailed, value: &c.Failed},
		{key: 'r', limit: maxRequeued, value: &c.Requeued},
		{key: 't', limit: maxMillis, value: &c.OKMillis, whole: &c.BusyMillis},
		{key: 'w', limit: maxMillis, value: &c.BusyMillis},
		{key: 'd', limit: maxFailed, value: &c.DeadLettered, whole: &c.Failed, optional: true},
		{key: 'y', limit: maxRequeued, value: &c.Retried, whole: &c.Requeued, optional: true},
	}
}

// Outcome is how a job ended, as far as the counters care.
type Outcome int

// The outcomes.
const (
	OK           Outcome = iota // the job completed
	Failed                      // the job failed, with or without an exception
	Requeued                    // the job was requeued unfinished
	Retried                     // the job failed and was submitted for its next attempt
	DeadLettered                // the job failed and went to the dead letter function
)

// count counts a job that took that many milliseconds.
func (c *Counters) count(outcome Outcome, millis int64) {
	c.BusyMillis += millis
	switch outcome {
	case OK:
		c.OK++
		c.OKMillis += millis
	case Failed:
		c.Failed++
	case Requeued:
		c.Requeued++
	case Retried:
		c.Requeued++
		c.Retried++
	case DeadLettered:
		c.Failed++
		c.DeadLettered++
	}
}

// Ended counts the jobs that left the queue. A retried job comes back as another one.
func (c Counters) Ended() int64 { return c.OK + c.Failed + c.Retried }

// Runs counts the runs of jobs that ended, also those that were requeued unfinished.
func (c Counters) Runs() int64 { return c.OK + c.Failed + c.Requeued }

// Add returns the sums of c and d.
func (c Counters) Add(d Counters) Counters {
	sums, more := c.table(), d.table()
	for i := range sums {
		*sums[i].value += *more[i].value
	}
	return c
}

// Since returns what was counted after an earlier state, never negative.
func (c Counters) Since(earlier Counters) Counters {
	now, then := c.table(), earlier.table()
	for i := range now {
		*now[i].value = max(0, *now[i].value-*then[i].value)
	}
	return c
}

// Before reports whether c is an older state of the counters than later: one of them is smaller.
func (c Counters) Before(later Counters) bool {
	old, latest := c.table(), later.table()
	for i := range old {
		if *old[i].value < *latest[i].value {
			return true
		}
	}
	return false
}

// tooLarge reports whether an id has no room for a counter's value.
func (c Counters) tooLarge() bool {
	table := c.table()
	for i := range table {
		if *table[i].value > table[i].limit {
			return true
		}
	}
	return false
}

// consistent reports whether no counter is larger than the one that it is a part of.
func (c Counters) consistent() bool {
	table := c.table()
	for i := range table {
		if part := &table[i]; part.whole != nil && *part.value > *part.whole {
			return false
		}
	}
	return true
}

// dropOptional sets the optional counters to 0.
func (c *Counters) dropOptional() {
	table := c.table()
	for i := range table {
		if table[i].optional {
			*table[i].value = 0
		}
	}
}

// append appends the fields of the optional counters, or of the others.
func (c Counters) append(dst []byte, optional bool) []byte {
	table := c.table()
	for i := range table {
		f := &table[i]
		if f.optional != optional || optional && *f.value <= 0 {
			continue
		}
		v := *f.value
		if f.whole != nil {
			v = min(v, *f.whole)
		}
		dst = appendField(dst, f.key, v, f.limit)
	}
	return dst
}

// find returns the index of a letter's counter, -1 if there is none.
func find(table *[numCounters]counter, key byte) int {
	for i := range table {
		if table[i].key == key {
			return i
		}
	}
	return -1
}
