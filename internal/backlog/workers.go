package backlog

import "time"

const (
	// workersShare is the fraction of its time that a job server may spend on `workers` for us: it
	// is single-threaded.
	workersShare = 100
	// maxWorkersPeriod bounds how rarely `workers` is requested, however long the answers take.
	maxWorkersPeriod = time.Minute
)

// workers requests the connections and extracts the telemetry from them.
func (p *poller) workers() error {
	reports := reportSets.Get().(*reportSet)
	defer func() {
		reports.reset()
		reportSets.Put(reports)
	}()
	began := time.Now()
	nowMillis := began.UnixMilli()
	p.w.mu.Lock()
	registered := p.w.terminatingAt(p.server, began)
	p.w.mu.Unlock()
	_, err := p.request("workers\n", func(batch []byte) {
		reports.rows = reports.rows[:0]
		for len(batch) > 0 {
			var line []byte
			line, batch = nextLine(batch)
			if registered != nil {
				registered.add(line)
			}
			if row, ok := parseReport(line, nowMillis); ok {
				reports.rows = append(reports.rows, row)
			}
		}
		if len(reports.rows) == 0 {
			return
		}
		p.w.mu.Lock()
		defer p.w.mu.Unlock()
		for i := range reports.rows {
			if r, ok := p.w.report(p.server, &reports.rows[i]); ok {
				reports.add(r)
			}
		}
	})
	if err != nil {
		return err
	}
	now := time.Now()
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	period := max(p.podPeriod, min(workersShare*now.Sub(began), maxWorkersPeriod))
	p.w.merge(reports.list, now, 3*period)
	p.w.recordRegistrations(p.server, registered, now)
	p.nextWorkers = began.Add(period)
	return nil
}
