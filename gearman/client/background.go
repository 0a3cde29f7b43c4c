package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// ErrUnsupported is returned for a request that the job server doesn't know.
var ErrUnsupported = errors.New("not supported by this job server")

// Cancel cancels a job, and reports whether its job server had it. A queued job is then never given
// to a worker. A running job isn't stopped, but it isn't run again if its worker is lost. Clients
// that wait for the job are told that it failed. gearmand supports this since 1.1.13; Perl's server
// doesn't (ErrUnsupported).
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
	return false, fmt.Errorf("cancel a job: job server %s: %w: unexpected response %.80q", s.ep, ErrUnsupported, p.Data)
}

// Bounds of the time between two polls of Wait.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
)

// Wait waits until a job's server no longer has the job: it has completed, failed, or was canceled.
// Job servers don't distinguish these, and don't keep results. Wait polls after 50 ms, then at
// increasing intervals of up to 2 s. A job server that can't be reached is polled again. Wait fails
// only if ctx ends (the error includes that of the last poll), if the client is closed, or if the
// job server is none of the client's.
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

// knows reports whether an address belongs to one of the client's job servers.
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
