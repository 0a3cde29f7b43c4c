package admin

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// CancelJob cancels a job. A queued job counts as queued until the next worker comes across it and
// it is skipped. If the job is running, its worker is not told. Unknown handles are an error.
func (c *Conn) CancelJob(ctx context.Context, handle string) error {
	if err := checkWord("the job handle", handle); err != nil {
		return fmt.Errorf("job server %s: cancel job: %w", c.addr, err)
	}
	_, err := c.ok(ctx, "cancel job "+handle, "\n")
	return err
}

// CreateFunction makes a function known before any worker registers it.
func (c *Conn) CreateFunction(ctx context.Context, name string) error {
	if err := checkWord("the function name", name); err != nil {
		return fmt.Errorf("job server %s: create function: %w", c.addr, err)
	}
	// gearmand 1.1.20 cuts two characters (for CR LF) off the name, even if the line ends in LF
	// only.
	_, err := c.ok(ctx, "create function "+name, "\r\n")
	return err
}

// DropFunction removes a function. gearmand does this even while the function has queued jobs,
// which are then left dangling: don't use it then.
func (c *Conn) DropFunction(ctx context.Context, name string) error {
	if err := checkWord("the function name", name); err != nil {
		return fmt.Errorf("job server %s: drop function: %w", c.addr, err)
	}
	_, err := c.ok(ctx, "drop function "+name, "\r\n")
	return err
}

// NoLimit removes the limit when passed to SetMaxQueue.
const NoLimit = -1

// SetMaxQueue limits how many jobs of a function may be queued and running: one limit for all
// priorities. If the function isn't known yet, gearmand ignores the limit and still responds OK:
// call CreateFunction first.
func (c *Conn) SetMaxQueue(ctx context.Context, name string, limit int) error {
	return c.setMaxQueue(ctx, name, limit)
}

// SetMaxQueuePriority is SetMaxQueue with a limit for each priority.
func (c *Conn) SetMaxQueuePriority(ctx context.Context, name string, high, normal, low int) error {
	return c.setMaxQueue(ctx, name, high, normal, low)
}

func (c *Conn) setMaxQueue(ctx context.Context, name string, limits ...int) error {
	if err := checkWord("the function name", name); err != nil {
		return fmt.Errorf("job server %s: maxqueue: %w", c.addr, err)
	}
	var command strings.Builder
	command.WriteString("maxqueue " + name)
	for _, n := range limits {
		command.WriteString(" " + strconv.Itoa(max(n, NoLimit)))
	}
	_, err := c.ok(ctx, command.String(), "\n")
	return err
}

// Shutdown stops the job server at once. gearmand no longer has the command (ErrUnsupported; send
// it SIGTERM or SIGUSR1). Perl's server has it, and may close the connection instead of responding.
func (c *Conn) Shutdown(ctx context.Context) error {
	_, err := c.ok(ctx, "shutdown", "\n")
	return err
}

// ShutdownGracefully stops the job server once its running jobs have ended. See Shutdown.
func (c *Conn) ShutdownGracefully(ctx context.Context) error {
	_, err := c.ok(ctx, "shutdown graceful", "\n")
	return err
}

// checkWord rejects an argument that the job server would read as none or as several.
func checkWord(what, word string) error {
	if word == "" {
		return fmt.Errorf("%w: %s is empty", proto.ErrName, what)
	}
	if strings.ContainsAny(word, " \t\r\n\x00") {
		return fmt.Errorf(
			"%w: %s %.80q holds white space, which the text protocol can't carry", proto.ErrName, what, word,
		)
	}
	return nil
}
