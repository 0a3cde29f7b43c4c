package backlog

import "time"

const (
	// workersShare is the part of its time that a job server may spend on `workers` for us: it does all it does in one thread.
	workersShare = 100
	// maxWorkersPeriod bounds how rarely we ask however long the answers take.
	maxWorkersPeriod = time.Minute
)

// workers asks for the connections and takes the telemetry out of them.
func (p *poller) workers() error {
	list := reportLists.Get().(*[]podReport)
	defer func() {
		clear(*list)
		*list = (*list)[:0]
		reportLists.Put(list)
	}()
	began := time.Now()
	nowMillis := began.UnixMilli()
	err := p.ask("workers\n", true, func(batch []byte) error {
		for len(batch) > 0 {
			var row []byte
			row, batch = nextLine(batch)
			if r, ok := p.w.report(p.server, row, nowMillis); ok {
				*list = append(*list, r)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	now := time.Now()
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	period := max(p.podPeriod, min(workersShare*now.Sub(began), maxWorkersPeriod))
	p.w.merge(*list, now, 3*period)
	p.nextWorkers = began.Add(period)
	return nil
}
