package backlog

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// maxCount bounds the jobs and workers of a function: a job costs a server about 1 kB.
const maxCount = 1 << 30

// poller asks one server over one connection.
type poller struct {
	*server
	conn  net.Conn
	first bool // nothing has been asked yet
}

// poll asks for `status`, and for `workers` where that is due.
func (p *poller) poll(workers bool) error {
	began := time.Now()
	p.w.mu.Lock()
	p.lastStatus, p.urgent = began, false
	p.w.mu.Unlock()
	if err := p.status(began); err != nil {
		return fmt.Errorf("status: %w", err)
	}
	if workers {
		if err := p.workers(); err != nil {
			return fmt.Errorf("workers: %w", err)
		}
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	now := time.Now()
	p.stats.polls++
	p.stats.lastPollTime = now.Sub(began)
	p.stats.pollTime += p.stats.lastPollTime
	p.plan(began)
	p.w.polled(p.server, now)
	return nil
}

// ask sends a command and gives its answer, all of it before Options.Timeout is over, a batch of rows at a time to each, which is called with Watcher.mu held.
func (p *poller) ask(command string, cutLong bool, each func(rows []byte) error) error {
	if err := p.send(command); err != nil {
		return err
	}
	counted := countReader{r: p.conn}
	err := readAnswer(&counted, cutLong, func(rows []byte) error {
		p.w.mu.Lock()
		defer p.w.mu.Unlock()
		return each(rows)
	})
	p.w.mu.Lock()
	p.stats.bytes += counted.n
	p.w.mu.Unlock()
	return err
}

func (p *poller) send(command string) error {
	p.w.mu.Lock()
	p.stats.requests++
	p.w.mu.Unlock()
	if err := p.conn.SetDeadline(time.Now().Add(p.w.opts.Timeout)); err != nil {
		return err
	}
	_, err := io.WriteString(p.conn, command)
	return err
}

type countReader struct {
	r io.Reader
	n uint64
}

func (c *countReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += uint64(n)
	return n, err
}

// status asks for the functions' figures. They are taken over together, when the answer has come to its end.
func (p *poller) status(began time.Time) error {
	p.w.mu.Lock()
	p.answer++
	gen := p.answer
	p.w.mu.Unlock()
	err := p.ask("status\n", false, func(batch []byte) error {
		for len(batch) > 0 {
			var line []byte
			line, batch = nextLine(batch)
			row, err := proto.ParseStatusRow(line)
			if err != nil {
				return fmt.Errorf("%w: %w", errBadAnswer, err)
			}
			if row.Total > maxCount || row.Running > maxCount || row.Workers > maxCount {
				return fmt.Errorf("%w: a count beyond %d", errBadAnswer, maxCount)
			}
			c := p.cells[string(row.Function)]
			if c == nil {
				if c = p.spare(row.Function, gen); c == nil {
					continue
				}
			}
			if c.seen == gen {
				return fmt.Errorf("%w: two rows of one function", errBadAnswer)
			}
			c.seen, c.newTotal, c.newRunning, c.newWork = gen, uint32(row.Total), uint32(max(0, row.Running)), uint32(row.Workers)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if p.first || p.missing(gen) {
		if err := p.barrier(); err != nil {
			return err
		}
		p.first = false
	}
	p.commit(gen, began)
	return nil
}

// missing says that a function that had jobs isn't in the answer.
func (s *server) missing(gen uint64) bool {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for _, c := range s.cells {
		if c.total > 0 && c.seen != gen && c.from <= gen {
			return true
		}
	}
	return false
}

// barrier makes sure that an answer in which something is missing was whole. A function whose name holds a line end can fake the end of an answer; then its rest
// comes where the version should.
func (p *poller) barrier() error {
	if err := p.send("version\n"); err != nil {
		return err
	}
	var buf [256]byte
	held := 0
	for {
		n, err := p.conn.Read(buf[held:])
		held += n
		if i := bytes.IndexByte(buf[:held], '\n'); i >= 0 {
			if i+1 < held || i < 2 || bytes.IndexByte(buf[:i], '\t') >= 0 {
				return fmt.Errorf("%w: no version where one was due", errBadAnswer)
			}
			return nil
		}
		if held == len(buf) {
			return fmt.Errorf("%w: a version of more than %d bytes", errBadAnswer, len(buf))
		}
		if n == 0 && err != nil {
			return err
		}
	}
}

// commit takes over what an answer said. A function that isn't in it has no jobs.
func (s *server) commit(gen uint64, began time.Time) {
	now := time.Now()
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for _, c := range s.cells {
		if c.from > gen {
			continue // it came while the answer was read, which may have passed its row
		}
		if c.seen != gen {
			if c.refs == 0 {
				delete(s.cells, c.name)
				s.spares--
				continue
			}
			c.newTotal, c.newRunning, c.newWork = 0, 0, 0
		}
		if !c.known || c.total != c.newTotal || c.running != c.newRunning {
			c.changed = gen
		}
		if c.bell && s.bell.armed.Before(began) {
			c.newWork -= min(c.newWork, 1) // that's us
		}
		c.total, c.running, c.workers, c.known = c.newTotal, c.newRunning, c.newWork, true
	}
	if !s.connected {
		if !s.lostAt.IsZero() {
			s.backAt = now
		}
		if s.state != StateConnecting {
			s.w.log.Info("Job server answers again", "server", s.key.addr)
		}
	}
	s.connected, s.state, s.lastGood, s.answered = true, StateOK, now, began
	s.bellMayChange()
}

// plan sets the time of the next poll: the smallest period that a pool wants, from the start of this one, or a little sooner so that pollers don't go in step.
func (s *server) plan(began time.Time) {
	s.period, s.podPeriod = math.MaxInt64, 0
	for _, l := range s.links {
		s.period = min(s.period, l.pool.period())
		if len(l.pool.pods) > 0 {
			if d := max(l.pool.sub.Period, s.w.opts.MinPeriod); s.podPeriod == 0 || d < s.podPeriod {
				s.podPeriod = d
			}
		}
	}
	if len(s.links) > 0 {
		s.nextStatus = began.Add(s.period - rand.N(s.period/10+1))
	}
	if s.urgent {
		s.nextStatus = began
		return
	}
	for _, c := range s.cells {
		if !c.known {
			s.nextStatus = began.Add(s.w.opts.MinPeriod)
			break
		}
	}
}
