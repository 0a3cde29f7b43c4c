package backlog

import (
	"bytes"
	"math"
	"slices"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// maxCount bounds the jobs and workers of a function: a job costs a server about 1 kB.
const maxCount = 1 << 30

// cellIndex finds the cells of a server by name without Watcher.mu. It is never changed: when the
// pools' functions change, the poller creates a new one.
type cellIndex struct {
	version uint64
	cells   []*cell
	byName  map[string]int
}

// statusAnswer is what one answer to `status` contains about the functions that pools want and, up
// to the budgets, about others. Only the poller uses it until [server.commit] applies it, so an
// incomplete answer has no effect.
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
	rowBad           // there is a row, and it is invalid
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

// add parses a batch of rows. An unreadable or impossible row affects only its own function. Rows
// of one name are added up: gearmand prints names up to their first NUL byte, so several of its
// functions can look alike.
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

// addBad records an impossible row of the function. It counts only if there is no other one: a name
// with a line end in it can produce such rows of any function.
func (a *statusAnswer) addBad(name []byte) {
	if i, ok := a.index.byName[string(name)]; ok && a.figures[i].state == rowNone {
		a.figures[i].state = rowBad
	}
}

func (f *figures) add(g figures) {
	f.total, f.running, f.workers = sum(f.total, g.total), sum(f.running, g.running), sum(f.workers, g.workers)
	f.state = rowGood
}

func sum(a, b uint32) uint32 { return min(a+b, maxCount) } // both are at most maxCount

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

// count checks a counter. gearmand prints 32-bit counters as unsigned, so one below zero reads
// 4294967295: that is invalid.
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
