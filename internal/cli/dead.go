package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// Dead is the command about jobs that have failed for good, in a worker's dead letter function.
func (c *Commands) Dead() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "List, show, requeue or drop the jobs of a dead letter function",
		Long: `List, show, requeue or drop the jobs that have failed for good. Workers with retries put them into the function that their
--dead-letter-function, or the pool's runtime.retry.deadLetterFunction, names.

` + c.Targets,
	}
	cmd.AddCommand(
		c.deadList(),
		c.deadCommand(
			"show FUNCTION", "Show why jobs have failed; they stay where they are", "show", (*deadLetters).keep,
		),
		c.deadCommand(
			"requeue FUNCTION", "Submit jobs to their own functions again, as new ones", "requeue",
			(*deadLetters).requeue,
		),
		c.deadCommand("drop FUNCTION", "Remove jobs for good", "drop", nil),
	)
	return cmd
}

// deadLetters iterates over the jobs of a dead letter function.
type deadLetters struct {
	conn     *admin.Conn
	function string
	max      int
	out      *Commands
}

// deadCommand returns a command that iterates over a dead letter function. handle returns the
// packet that submits a copy of the job before it is removed; nil: none.
func (c *Commands) deadCommand(use, short, verb string, handle func(*deadLetters, *letter) []byte) *cobra.Command {
	var o changeOptions
	var n int
	var yes bool
	cmd := &cobra.Command{
		Use: use, Short: short,
		Example: c.examples("  PROGRAM dead " + verb + " resize.dead --at SERVER -n 20"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if handle == nil && !yes {
				return errors.New("this loses the jobs: add --yes to confirm")
			}
			if n < 1 {
				return errors.New("-n must be 1 or more")
			}
			return c.change(cmd.Context(), &o, func(name string, conn *admin.Conn) error {
				d := &deadLetters{conn: conn, function: args[0], max: n, out: c}
				done, err := d.each(cmd.Context(), handle)
				_, printErr := fmt.Fprintf(c.Out, "%s: %s %d of %s\n", name, verb, done, Printable(args[0]))
				return errors.Join(err, printErr)
			})
		},
	}
	o.addFlags(cmd)
	cmd.Flags().IntVar(&n, "number", 20, "how many jobs at most")
	if handle == nil {
		cmd.Flags().BoolVar(&yes, "yes", false, "confirm that the jobs will be lost")
	}
	return cmd
}

// letter is one job of a dead letter function.
type letter struct {
	handle, key string
	data        []byte
	about       worker.DeadLetter
	payload     []byte
	err         error // why it is no dead letter
}

// each iterates over the jobs. A job is completed only when its copy, if there is one, is
// confirmed; it is never requeued by closing the connection, which gearmand counts as a retry.
func (d *deadLetters) each(ctx context.Context, handle func(*deadLetters, *letter) []byte) (done int, err error) {
	seen := map[string]bool{}
	err = d.conn.Exchange(ctx, proto.AppendCanDo(nil, d.function), func(in *proto.Conn) error {
		for ; done < d.max; done++ {
			l, err := grabLetter(in)
			if err != nil {
				return err
			}
			if l == nil {
				break
			}
			again := seen[l.name()]
			seen[l.name()] = true
			var copied []byte
			if handle != nil {
				if copied = handle(d, l); l.err != nil || again {
					copied = d.keep(l)
				}
			}
			if err := submitCopy(in, copied); err != nil {
				return err
			}
			if _, err := in.Write(
				proto.AppendWork(nil, proto.Request, proto.TypeWorkComplete, l.handle, ""),
			); err != nil {
				return err
			}
			if again {
				break // all were seen
			}
			if err := d.out.printLetter(l); err != nil {
				return err
			}
		}
		return finish(in)
	})
	return done, err
}

// finish waits until the server has received everything: jobs that are open at a close are
// requeued.
func finish(in *proto.Conn) error {
	if _, err := in.Write(proto.AppendEcho(nil, proto.Request, "done")); err != nil {
		return err
	}
	p, err := in.Next()
	if err == nil && p.Type != proto.TypeEchoRes {
		err = fmt.Errorf("%v in place of an echo", p)
	}
	return err
}

func grabLetter(in *proto.Conn) (*letter, error) {
	if _, err := in.Write(proto.AppendEmpty(nil, proto.Request, proto.TypeGrabJobUniq)); err != nil {
		return nil, err
	}
	p, err := in.Next()
	if err != nil || p.Type == proto.TypeNoJob {
		return nil, err
	}
	a, err := p.Assignment()
	if err != nil {
		return nil, err
	}
	l := &letter{handle: string(a.Handle), key: string(a.Unique), data: bytes.Clone(a.Payload)}
	l.about, l.payload, l.err = worker.ParseDeadLetter(l.data)
	return l, nil
}

func submitCopy(in *proto.Conn, request []byte) error {
	if request == nil {
		return nil
	}
	if _, err := in.Write(request); err != nil {
		return err
	}
	p, err := in.Next()
	if err != nil || p.Type == proto.TypeJobCreated {
		return err
	}
	if se, err := p.ServerError(); err == nil {
		return fmt.Errorf("a copy of the job was refused: %w", se)
	}
	return fmt.Errorf("a copy of the job was answered by %v", p)
}

const letterKey = "gwd1."

// name is what the copies of a letter have in common.
func (l *letter) name() string {
	if rest, ok := strings.CutPrefix(l.key, letterKey); ok {
		if _, name, ok := strings.Cut(rest, "."); ok {
			return name
		}
	}
	sum := sha256.Sum256(l.data)
	return hex.EncodeToString(sum[:16])
}

// keep submits a copy of a letter to its function, under the next number of its key: with the same
// key it would be merged with the job that is removed.
func (d *deadLetters) keep(l *letter) []byte {
	generation := 0
	if rest, ok := strings.CutPrefix(l.key, letterKey); ok {
		n, _, _ := strings.Cut(rest, ".")
		generation, _ = strconv.Atoi(n) // 0 for a key of another kind
	}
	key := fmt.Sprintf("%s%d.%s", letterKey, (generation+1)%1_000_000, l.name())
	return proto.AppendSubmit(nil, proto.TypeSubmitJobBG, d.function, key, l.data)
}

// requeue submits a letter's job to its own function, as a new one.
func (d *deadLetters) requeue(l *letter) []byte {
	return proto.AppendSubmit(nil, proto.TypeSubmitJobBG, l.about.Function, string(l.about.Key()), l.payload)
}

func (c *Commands) printLetter(l *letter) error {
	if l.err != nil {
		_, err := fmt.Fprintf(c.Out, "%s: %d bytes, %v\n", Printable(l.handle), len(l.data), l.err)
		return err
	}
	a := &l.about
	_, err := fmt.Fprintf(c.Out, "%s  %s  attempts %d  %s: %s\n", a.FailedAt.Format(
		"2006-01-02 15:04:05",
	), Printable(a.Function), a.Attempts,
		Printable(a.Reason), Printable(a.Message))
	if key := a.Key(); err == nil && key != "" {
		_, err = fmt.Fprintf(c.Out, "    key       %s\n", Printable(string(key)))
	}
	for line := range strings.Lines(a.Stderr) {
		if err == nil {
			_, err = fmt.Fprintf(c.Out, "    stderr    %s\n", Printable(strings.TrimSuffix(line, "\n")))
		}
	}
	if err == nil {
		const show = 200
		_, err = fmt.Fprintf(
			c.Out, "    workload  %d bytes: %s\n", len(l.payload),
			Printable(string(l.payload[:min(show, len(l.payload))])),
		)
	}
	return err
}
