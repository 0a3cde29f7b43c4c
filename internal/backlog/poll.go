package backlog

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	mathrand "math/rand/v2"
	"net"
	"os"
	"time"

	"golang.org/x/time/rate"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// poller polls one server over one connection.
type poller struct {
	*server
	conn net.Conn
}

// poll requests `status`, and `workers` if that is due.
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
	p.checkBalance(now)
	p.w.polled(p.server, now)
	return nil
}

// request sends a command and an echo request, and passes the rows of the answer to each, a batch
// at a time and without a lock. The whole answer must arrive within Options.Timeout. The echo marks
// its end: a function's name can contain any bytes, even something that looks like an end.
func (p *poller) request(command string, each func(rows []byte)) (size int, err error) {
	p.w.mu.Lock()
	p.stats.requests++
	limit := p.answerLimit()
	p.w.mu.Unlock()
	counted := countReader{r: p.conn, server: p.server, end: time.Now().Add(p.w.opts.Timeout)}
	if err := p.conn.SetDeadline(counted.end); err != nil {
		return 0, err
	}
	err = exchangeText(struct {
		io.Reader
		io.Writer
	}{&counted, p.conn}, command, limit, each)
	p.w.mu.Lock()
	p.stats.bytes += counted.n
	p.w.mu.Unlock()
	return int(counted.n), err //nolint:gosec // maxAnswer and a read more at most
}

// answerLimit is the largest allowed answer of the server. Watcher.mu is held.
func (s *server) answerLimit() int { return min(maxAnswer, firstAnswer<<min(s.earned, 8)) }

// exchangeText sends a text command followed by an echo request and reads the answer to both.
func exchangeText(conn io.ReadWriter, command string, limit int, each func(rows []byte)) error {
	mark := rand.Text()
	if _, err := conn.Write(proto.AppendEcho([]byte(command), proto.Request, mark)); err != nil {
		return err
	}
	return readAnswer(conn, proto.AppendEcho(nil, proto.Response, mark), limit, each)
}

// countReader counts the bytes of an answer, and limits the rate of a long one to its namespace's.
type countReader struct {
	r       io.Reader
	server  *server
	n       uint64
	end     time.Time     // the deadline of the answer
	limiter *rate.Limiter // of a long answer; nil: there is no limit
}

func (c *countReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	short := c.n <= shortAnswer
	if c.n += uint64(n); c.n <= shortAnswer {
		return n, err
	}
	if short {
		c.server.w.mu.Lock()
		c.limiter = c.server.byteLimiter()
		c.server.w.mu.Unlock()
	}
	if c.limiter == nil {
		return n, err
	}
	now := time.Now()
	place := c.limiter.ReserveN(now, n)
	wait := place.DelayFrom(now)
	if wait > c.end.Sub(now) {
		place.CancelAt(now)
		return 0, os.ErrDeadlineExceeded
	}
	if wait > 0 && gearman.Sleep(c.server.w.ctx, wait) != nil {
		return 0, net.ErrClosed
	}
	return n, err
}

// status requests the functions' figures. They are applied together, when the answer has ended.
func (p *poller) status(began time.Time) error {
	p.w.mu.Lock()
	p.answer++
	p.w.mu.Unlock()
	var a *statusAnswer // once it has begun
	begin := func() {
		if a == nil {
			p.w.mu.Lock()
			p.open()
			a = p.newAnswer()
			p.w.mu.Unlock()
		}
	}
	size, err := p.request("status\n", func(rows []byte) { begin(); a.add(rows) })
	if err != nil && a == nil {
		return err
	}
	begin() // an empty answer counts too
	if a.good == 0 && a.malformed > 0 && (err == nil || !errors.Is(err, errBadAnswer)) {
		// A job server with a function has a readable row for it, whatever the function's name is.
		return fmt.Errorf("%w: none of its %d rows is a status row", errBadAnswer, a.malformed)
	}
	if err != nil {
		return err
	}
	p.commit(a, began, size)
	return nil
}

// commit applies an answer. A function that isn't in it has no jobs.
func (s *server) commit(a *statusAnswer, began time.Time, size int) {
	now := time.Now()
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for i, c := range a.index.cells {
		f := a.figures[i]
		if f.state == rowBad {
			continue // its figures become stale, those of the other functions don't
		}
		if !c.known || c.total != f.total || c.running != f.running {
			c.changed = a.number
		}
		if c.bell && s.bell.armed.Before(began) {
			f.workers -= min(f.workers, 1) // the doorbell
		}
		c.total, c.running, c.workers, c.known, c.asOf = f.total, f.running, f.workers, true, now.Sub(s.since)
	}
	s.setForeign(a.foreign)
	s.earned, s.answerSize = s.earned+1, size
	if !s.connected {
		if !s.lostAt.IsZero() {
			s.backAt = now
		}
		if s.state != StateConnecting && s.mayLog(now) {
			s.w.log.Info("Job server answers again", "server", s.key.addr)
		}
	}
	s.connected, s.state, s.lastGood, s.answered = true, StateOK, now, began
	s.updateBell()
}

const (
	// answerRate is how many bytes of `status` are read from a job server in a second.
	answerRate = 1 << 20
	// maxStatusPause bounds how rarely a job server with long answers is polled.
	maxStatusPause = time.Minute
)

// plan sets the time of the next poll: the smallest period that a pool wants, from the start of
// this one, or a little less so that pollers don't run in step. Long answers are requested less
// often.
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
		pause := max(s.period, min(maxStatusPause, time.Duration(s.answerSize)*time.Second/answerRate))
		s.nextStatus = began.Add(pause - mathrand.N(pause/20+1)) //nolint:gosec // spreads load, keeps no secret
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
