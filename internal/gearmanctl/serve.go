package gearmanctl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/internal/cli"
)

type serveOptions struct {
	address, dialect string
	fault            string
	after, lasts     time.Duration
}

var dialects = gearmantest.Dialects()

// dialectNames lists the dialects for people.
func dialectNames() string {
	names := slices.Sorted(maps.Keys(dialects))
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// outage is a simulated problem of the job server.
type outage struct {
	help  string
	begin func(*gearmantest.Server)
	end   func(*gearmantest.Server) error // nil: it is over at once
}

func fault(f gearmantest.Fault) func(*gearmantest.Server) {
	return func(s *gearmantest.Server) { s.SetFault(f) }
}

func heal(s *gearmantest.Server) error {
	s.SetFault(gearmantest.Fault{})
	return nil
}

var outages = map[string]outage{
	"hang":    {"answer nothing, like a stopped process", fault(gearmantest.Fault{Hang: true}), heal},
	"slow":    {"answer after a second", fault(gearmantest.Fault{Delay: time.Second}), heal},
	"garbage": {"answer garbage", fault(gearmantest.Fault{Garbage: []byte("garbage\n")}), heal},
	"refuse": {"close all connections and refuse new ones", func(s *gearmantest.Server) {
		s.Refuse()
		s.CloseConnections()
	}, (*gearmantest.Server).Accept},
	"drop":    {"close all connections", (*gearmantest.Server).CloseConnections, nil},
	"restart": {"restart and lose the queue", func(s *gearmantest.Server) { s.Restart() }, nil},
	"persist": {"restart and keep the background jobs", func(s *gearmantest.Server) { s.RestartWithQueue() }, nil},
}

func outageHelp() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(outages)) {
		fmt.Fprintf(&b, "  %-8s %s\n", name, outages[name].help)
	}
	return b.String()
}

func serveCommand(s streams) *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a job server in memory, for development",
		Long: `Run a job server in memory, for development and tests. It behaves as gearmand does, and keeps nothing: its jobs are gone when
it ends. Use gearmand for anything that matters.

It can play outages: write one of these words to its standard input ("heal" ends it), or use --outage with --after and --for.

` + outageHelp(),
		Example: "  gearmanctl serve\n  gearmanctl serve --listen 127.0.0.1:4731 --outage refuse --after 10s --for 5s",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), s, &o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.address, "listen", "127.0.0.1:4730", "address to listen on; port 0 is a free one")
	flags.StringVar(&o.dialect, "dialect", "gearmand", "the job server to behave as: "+dialectNames())
	flags.StringVar(&o.fault, "outage", "", "outage to play, see above")
	flags.DurationVar(&o.after, "after", 0, "time until the outage begins")
	flags.DurationVar(&o.lasts, "for", 10*time.Second, "how long the outage lasts")
	// The flags exist: they were defined above.
	_ = cmd.RegisterFlagCompletionFunc(
		"outage", cobra.FixedCompletions(slices.Sorted(maps.Keys(outages)), cobra.ShellCompDirectiveNoFileComp),
	)
	_ = cmd.RegisterFlagCompletionFunc(
		"dialect", cobra.FixedCompletions(slices.Sorted(maps.Keys(dialects)), cobra.ShellCompDirectiveNoFileComp),
	)
	return cmd
}

func (o *serveOptions) check() error {
	if _, ok := dialects[o.dialect]; !ok {
		return fmt.Errorf("--dialect must be %s, not %q", dialectNames(), o.dialect)
	}
	if _, ok := outages[o.fault]; !ok && o.fault != "" {
		return fmt.Errorf(
			"--outage must be one of %s, not %q", strings.Join(slices.Sorted(maps.Keys(outages)), ", "), o.fault,
		)
	}
	if o.after < 0 || o.lasts <= 0 {
		return errors.New("--after must not be negative, and --for must be greater than 0")
	}
	return nil
}

// serve runs a job server until ctx ends.
func serve(ctx context.Context, s streams, o *serveOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.address)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	server := gearmantest.NewServer(
		gearmantest.Options{Listener: l, Dialect: dialects[o.dialect], HandlePrefix: "H:gearmanctl"},
	)
	defer server.Close()
	fmt.Fprintf(
		s.out, "A job server for development listens on %s. It keeps nothing: its jobs are gone when it ends.\n",
		server.Addr(),
	)

	words := make(chan string)
	go readWords(ctx, s.in, words) // ends with ctx or the input; a blocked read ends with the process
	begin, end := newAlarm(), newAlarm()
	defer begin.Stop()
	defer end.Stop()
	if o.fault != "" {
		begin.Reset(o.after)
	}
	p := player{server: server, out: s.out}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-begin.C:
			p.play(o.fault)
			end.Reset(o.lasts)
		case <-end.C:
			p.play("heal")
		case word := <-words:
			p.play(word)
		}
	}
}

// newAlarm returns a timer that is not set.
func newAlarm() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

func readWords(ctx context.Context, in io.Reader, words chan<- string) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if word := strings.TrimSpace(lines.Text()); word != "" {
			select {
			case words <- word:
			case <-ctx.Done():
				return
			}
		}
	}
}

// player simulates outages, one at a time.
type player struct {
	server *gearmantest.Server
	out    io.Writer
	now    string // the present outage
}

func (p *player) play(word string) {
	if end := outages[p.now].end; end != nil {
		if err := end(p.server); err != nil {
			fmt.Fprintln(p.out, "can't end the outage:", err)
			return
		}
	}
	p.now = ""
	o, ok := outages[word]
	switch {
	case word == "heal":
		fmt.Fprintln(p.out, "the job server works again")
	case !ok:
		fmt.Fprintf(p.out, "there is no outage %q: write heal or one of\n%s", cli.Printable(word), outageHelp())
	default:
		o.begin(p.server)
		if o.end != nil {
			p.now = word
		}
		fmt.Fprintf(p.out, "outage: %s\n", o.help)
	}
}
