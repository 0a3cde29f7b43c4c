package backlog

const (
	// maxForeignName is the longest kept name of a function that no pool wants; longer ones are
	// skipped.
	maxForeignName = 255
	// foreignRowBytes is the memory of one such function besides its name.
	foreignRowBytes = 128
	// serverForeignBytes and totalForeignBytes bound what is kept of such functions, for each job
	// server and in all.
	serverForeignBytes = 256 << 10
	totalForeignBytes  = 16 << 20
)

// foreignRows are the figures of functions that no pool wants, by name.
type foreignRows struct {
	rows   map[string]*foreignRow
	bytes  int
	former map[string]*foreignRow // of the last answer, to reuse its names
	most   int
}

type foreignRow struct {
	name string
	figures
}

// newForeign returns an empty set to fill, nil if foreign functions are not kept. Watcher.mu is
// held.
func (s *server) newForeign() *foreignRows {
	if s.w.opts.ForeignFunctions <= 0 {
		return nil
	}
	rows := &foreignRows{rows: make(map[string]*foreignRow), most: s.w.opts.ForeignFunctions}
	if s.foreign != nil {
		rows.former = s.foreign.rows
	}
	return rows
}

func (r *foreignRows) add(name []byte, f figures) {
	if r == nil || len(name) > maxForeignName {
		return
	}
	if row := r.rows[string(name)]; row != nil {
		row.figures.add(f)
		return
	}
	size := len(name) + foreignRowBytes
	if len(r.rows) >= r.most || r.bytes+size > serverForeignBytes {
		return
	}
	row := &foreignRow{figures: f}
	if old := r.former[string(name)]; old != nil {
		row.name = old.name
	} else {
		row.name = string(name)
	}
	r.rows[row.name] = row
	r.bytes += size
}

// setForeign keeps the foreign functions of an accepted answer, as many as the budget of all job
// servers together allows. Watcher.mu is held.
func (s *server) setForeign(rows *foreignRows) {
	s.dropForeign()
	if rows == nil || s.gone {
		return
	}
	rows.former = nil
	for name, row := range rows.rows {
		if s.w.foreignBytes+rows.bytes <= totalForeignBytes {
			break
		}
		rows.bytes -= len(row.name) + foreignRowBytes
		delete(rows.rows, name)
	}
	s.foreign = rows
	s.w.foreignBytes += rows.bytes
}

// dropForeign deletes the foreign functions. Watcher.mu is held.
func (s *server) dropForeign() {
	if s.foreign != nil {
		s.w.foreignBytes -= s.foreign.bytes
		s.foreign = nil
	}
}
