package backlog

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// loadBalance is the state of the checks whether one address leads to several job servers, as a
// ClusterIP in front of several gearmands does. Then the workers and the operator see different
// queues, and the figures are wrong. Guarded by Watcher.mu.
type loadBalance struct {
	found bool
	same  int // consecutive checks that ended at one server

	checks int                // that were due
	next   time.Time          // when the next one is due
	stop   context.CancelFunc // of the one under way
}

// clearAfter is how many consecutive checks must end at one server before a finding is cleared:
// with two servers behind an address, every other check does.
const clearAfter = 8

// balanceChecks are the pauses between checks; the last one repeats.
var balanceChecks = []time.Duration{
	2 * time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute,
}

// checkBalance starts a check when one is due, after a poll that was answered. Watcher.mu is held.
func (s *server) checkBalance(now time.Time) {
	b := &s.balance
	if b.next.IsZero() {
		b.next = s.since.Add(jitter(balanceChecks[0]))
	}
	if b.stop != nil || now.Before(b.next) {
		return
	}
	b.checks++
	b.next = now.Add(jitter(balanceChecks[min(b.checks, len(balanceChecks)-1)]))
	if !slices.ContainsFunc(s.links, func(l *link) bool { return l.target.addrs.Len() == 1 }) {
		return // no pool uses it via the only address of a name, or via an address
	}
	checks := s.links[0].pool.tenant.checks
	b.stop = s.w.start(func(ctx context.Context) {
		var different bool
		err := context.Canceled
		if checks.enter(ctx) {
			different, err = s.twoServers(ctx)
			checks.leave()
		}
		s.checked(different, err)
	})
}

// checked records the result of a check. An error is no result: the poller reports problems of the
// server.
func (s *server) checked(different bool, err error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	b := &s.balance
	b.stop()
	b.stop = nil
	switch {
	case err != nil:
	case different:
		if !b.found {
			s.w.log.Warn(
				"One address leads to several job servers: name them one by one, or use a headless Service", "server",
				s.key.addr,
			)
		}
		b.found, b.same = true, 0
	default:
		if b.same++; b.same >= clearAfter {
			b.found = false
		}
	}
}

// twoServers opens two connections and reports whether they ended at two different servers: the
// first sets a unique ID, and a server lists the IDs of all its connections. The ID must be listed
// on the first connection before and after it is not listed on the second one, so a server that
// restarts, lists too few connections or has no IDs gives an error or false, never a false alarm.
// Two connections that end at one server by chance, or because of the balancer's session affinity,
// prove nothing; hence the repetitions.
func (s *server) twoServers(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.w.opts.Timeout)
	defer cancel()
	id := "gearman-operator;balance;" + rand.Text()
	one, err := s.dial(ctx)
	if err != nil {
		return false, err
	}
	defer one.Close()
	defer context.AfterFunc(ctx, func() { _ = one.Close() })()
	if _, err := one.Write(proto.AppendSetClientID(nil, id)); err != nil {
		return false, err
	}
	if seen, err := s.lists(one, id); err != nil || !seen {
		return false, err
	}
	two, err := s.dial(ctx)
	if err != nil {
		return false, err
	}
	defer two.Close()
	defer context.AfterFunc(ctx, func() { _ = two.Close() })()
	if seen, err := s.lists(two, id); err != nil || seen {
		return false, err
	}
	seen, err := s.lists(one, id)
	return seen, err
}

// lists reports whether the server of a connection lists a connection with that ID.
func (s *server) lists(conn io.ReadWriter, id string) (bool, error) {
	s.w.mu.Lock()
	s.stats.requests++
	limit := s.answerLimit()
	s.w.mu.Unlock()
	seen := false
	err := exchangeText(conn, "workers\n", limit, func(rows []byte) {
		seen = seen || bytes.Contains(rows, []byte(id))
	})
	if err != nil {
		return false, fmt.Errorf("workers: %w", err)
	}
	return seen, nil
}
