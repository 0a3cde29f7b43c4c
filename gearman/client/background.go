package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// ErrUnsupported is a request that the job server doesn't know.
var ErrUnsupported = errors.New("not supported by this job server")

// Cancel takes a job back, and reports whether its server had it. A queued job is then never given
// to a worker; one that runs isn't stopped, but a lost one isn't run again. Clients that wait for
// the job are told that it failed. gearmand knows this from 1.1.13 on; Perl's server doesn't
// (ErrUnsupported).
func (c *Client) Cancel(ctx context.Context, id gearman.JobID) (had bool, err error) {
	command := "cancel job " + id.Handle
	if err := errors.Join(proto.CheckHandle(id.Handle), proto.CheckCommand(command)); err != nil {
		return false, err
	}
	s, err := c.serverOf(ctx, id.Server)
	if err != nil {
		return false, err
	}
	p, err := c.askText(
		ctx, s, "cancel a job", cancelText, func(dst []byte) []byte { return append(append(dst, command...), '\n') },
	)
	if err != nil {
		return false, err
	}
	r, ok := proto.ParseReply(p.Data)
	switch {
	case ok && r.Err == nil:
		return true, nil
	case ok && r.Err.Code == "UNKNOWN_JOB":
		return false, nil
	}
	return false, fmt.Errorf("cancel a job: job server %s: %w: %.80q came back", s.ep, ErrUnsupported, p.Data)
}

// Bounds of the time between two questions of Wait.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
)

// Wait waits until a job's server no longer has it: it was done, failed, or canceled, which servers
// don't keep apart; nor do they keep results. It asks after 50 ms, then less and less often, and
// every 2 s in the end. A server that can't be reached is asked again, so only the end of ctx is an
// error; it says what the server answered last.
func (c *Client) Wait(ctx context.Context, id gearman.JobID) error {
	if err := proto.CheckHandle(id.Handle); err != nil {
		return err
	}
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		st, err := c.Status(ctx, id)
		if err == nil && !st.Known {
			return nil
		}
		if errors.Is(err, ErrClosed) || errors.Is(err, ErrNoServer) && ctx.Err() == nil && !c.knows(id.Server) {
			return fmt.Errorf("wait for job %s: %w", id, err)
		}
		if cause := gearman.Sleep(ctx, pause); cause != nil {
			return errors.Join(fmt.Errorf("wait for job %s: %w", id, cause), err)
		}
	}
}

// knows reports whether an address is that of one of the client's job servers.
func (c *Client) knows(addr string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ep := range c.servers {
		if ep.Addr == addr {
			return true
		}
	}
	return false
}
