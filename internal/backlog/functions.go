package backlog

// spare returns the cell of a function that no pool wants, where those are kept and there is room; else nil.
func (s *server) spare(name []byte, answer uint64) *cell {
	if !s.w.opts.AllFunctions || s.spares >= s.w.opts.MaxFunctions {
		return nil
	}
	c := &cell{name: string(name), from: answer}
	s.cells[c.name] = c
	s.spares++
	return c
}
