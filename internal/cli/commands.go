package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/admin"
)

// Commands makes the commands. All of its fields but DefaultServer are required.
type Commands struct {
	In          io.Reader
	Out, ErrOut io.Writer // see Sanitized
	Results     io.Writer // for the results of jobs, see Results; nil: Out

	// Program is how users call the commands, and Server a job server as their examples name it.
	Program, Server string
	// DefaultServer is the job server of a command that names none. Empty: one must be named.
	DefaultServer string
	// Targets describes how job servers are named, for the help.
	Targets string
	// Find returns the job servers that an argument names.
	Find func(ctx context.Context, target string) ([]Endpoint, error)
	// DeadLetterFunctions returns the dead letter functions that belong to an argument, if it has
	// some. Optional.
	DeadLetterFunctions func(ctx context.Context, target string) ([]string, error)
}

// Endpoint is one job server and how to reach it.
type Endpoint struct {
	Name string // for people
	Addr string // the address to dial, unless Open is set
	// Open opens a connection to the job server, if it can't just be dialed. done closes it.
	Open func(ctx context.Context) (addr string, done func(), err error)
}

func (e *Endpoint) open(ctx context.Context) (addr string, done func(), err error) {
	if e.Open == nil {
		return e.Addr, func() {}, nil
	}
	return e.Open(ctx)
}

// DirectTargets describes the names that Direct understands.
const DirectTargets = `A job server is written host, host:port, [IPv6] or [IPv6]:port. The port is 4730 unless it is given. Each address of a
name is a job server of its own.`

// Direct finds job servers that this machine reaches: one for each address of the name.
func Direct(ctx context.Context, target string) ([]Endpoint, error) {
	if _, _, err := SplitPort(target); err != nil {
		return nil, err
	}
	addresses, err := admin.Resolve(ctx, nil, target)
	if err != nil {
		return nil, err
	}
	all := make([]Endpoint, len(addresses))
	for i, a := range addresses {
		all[i] = Endpoint{Name: a, Addr: a}
	}
	return all, nil
}

// SplitPort splits an address: host, host:port, [IPv6] or [IPv6]:port.
func SplitPort(address string) (host string, port int, err error) {
	a, err := gearman.ParseAddress(address)
	return a.Host, int(a.Port), err
}

// targets returns the named job servers, or the default one.
func (c *Commands) targets(named []string) ([]string, error) {
	switch {
	case len(named) > 0:
		return named, nil
	case c.DefaultServer == "":
		return nil, errors.New("name at least one job server\n\n" + c.Targets)
	}
	return []string{c.DefaultServer}, nil
}

// serverArgs checks the arguments of a command that takes job servers.
func (c *Commands) serverArgs() cobra.PositionalArgs {
	if c.DefaultServer == "" {
		return cobra.MinimumNArgs(1)
	}
	return cobra.ArbitraryArgs
}

func (c *Commands) serverUse() string {
	if c.DefaultServer == "" {
		return " SERVER..."
	}
	return " [SERVER...]"
}

// examples replaces PROGRAM and SERVER in a command's examples.
func (c *Commands) examples(text string) string {
	return strings.NewReplacer("PROGRAM", c.Program, "SERVER", c.Server).Replace(text)
}

// eachServer calls f with a connection to each named job server. An error of one server, or of f
// for it, doesn't keep f from the others; the errors are joined.
func (c *Commands) eachServer(
	ctx context.Context, named []string, o *connectOptions, f func(string, *admin.Conn) error,
) error {
	tlsConfig, err := o.tlsConfig()
	if err != nil {
		return err
	}
	targets, err := c.targets(named)
	if err != nil {
		return err
	}
	var errs []error
	for _, target := range targets {
		found, err := c.Find(ctx, target)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, e := range found {
			dial := admin.Options{
				TLS: tlsConfig, Timeout: o.timeout, ConnectTimeout: o.timeout, ServerName: o.serverNameOf(target),
			}
			if err := oneServer(ctx, e, dial, f); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", e.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

func oneServer(ctx context.Context, e Endpoint, o admin.Options, f func(string, *admin.Conn) error) (err error) {
	addr, done, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer done()
	conn, err := admin.Dial(ctx, addr, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return f(e.Name, conn)
}
