package backlog

import (
	"bytes"
	"math"
	"slices"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// maxCount bounds the jobs and workers of a function: a job costs a server about 1 kB.
const maxCount = 1 << 30

// cellIndex finds the cells of a server by name without Watcher.mu. It is never changed: when pools
// come to want other functions the poller makes a new one.
type cellIndex struct {
	version uint64
	cells   []*cell
	byName  map[string]int
}

// statusAnswer is what one answer to `status` says of the functions that pools want and, up to the
// budgets, of others. It belongs to the poller alone until [server.commit] takes it over, so an
// answer that breaks off leaves nothing behind.
type statusAnswer struct {
	number          uint64
	index           *cellIndex
	figures         []figures // by cell of index
	foreign         *foreignRows
	good, malformed int // rows
}

type rowState uint8

const (
	rowNone rowState = iota
	rowBad           // there is a row, and it cannot be right
	rowGood
)

type figures struct {
	total, running, workers uint32
	state                   rowState
}

// newAnswer returns an empty answer to fill. Watcher.mu is held.
func (s *server) newAnswer() *statusAnswer {
	if s.index == nil || s.index.version != s.version {
		index := &cellIndex{
			version: s.version, cells: slices.Clone(s.cells), byName: make(map[string]int, len(s.cells)),
		}
		for i, c := range s.cells {
			index.byName[c.name] = i
		}
		s.index = index
	}
	return &statusAnswer{
		number: s.answer, index: s.index, figures: make([]figures, len(s.index.cells)), foreign: s.newForeign(),
	}
}

// add takes in a batch of rows. A row that cannot be read, or whose counts cannot be right, costs
// its own function only. Rows of one name add up: gearmand prints names up to their first NUL byte,
// so several of its functions can look alike.
func (a *statusAnswer) add(batch []byte) {
	for len(batch) > 0 {
		var line []byte
		line, batch = nextLine(batch)
		if isDot(line) {
			continue
		}
		row, err := proto.ParseStatusRow(line)
		if err != nil {
			a.malformed++
			name, _, _ := bytes.Cut(line, []byte{'\t'})
			a.addBad(name)
			continue
		}
		a.good++
		f, ok := rowFigures(row)
		i, wanted := a.index.byName[string(row.Function)]
		switch {
		case !ok:
			a.addBad(row.Function)
		case wanted:
			a.figures[i].add(f)
		default:
			a.foreign.add(row.Function, f)
		}
	}
}

// addBad notes that a row of the function cannot be right. It counts only if there is no other one:
// a name with a line end in it can make such rows of any function.
func (a *statusAnswer) addBad(name []byte) {
	if i, ok := a.index.byName[string(name)]; ok && a.figures[i].state == rowNone {
		a.figures[i].state = rowBad
	}
}

func (f *figures) add(g figures) {
	f.total, f.running, f.workers = sum(f.total, g.total), sum(f.running, g.running), sum(f.workers, g.workers)
	f.state = rowGood
}

func sum(a, b uint32) uint32 { return min(a+b, maxCount) } // neither is more than maxCount

// rowFigures returns the counts of a row; ok is false if they are more than a job server can have.
func rowFigures(row proto.StatusRow) (f figures, ok bool) {
	f = figures{state: rowGood}
	ok = true
	f.total = count(row.Total, &ok)
	f.workers = count(row.Workers, &ok)
	if row.Running > 0 { // gearmand prints -1, as such or as below
		f.running = count(uint64(row.Running), &ok)
	}
	return f, ok
}

// count checks a counter. gearmand prints 32-bit counters without a sign, so one that went below
// zero reads 4294967295: that is none.
func count(n uint64, ok *bool) uint32 {
	switch {
	case n <= maxCount:
		return uint32(n)
	case n > math.MaxInt32 && n <= math.MaxUint32:
		return 0
	}
	*ok = false
	return 0
}
