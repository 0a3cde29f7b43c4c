package gearmanctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/internal/cli"
	"github.com/gearman-operator/gearman-operator/internal/page"
)

type uiOptions struct {
	servers []string
	listen  string
	actions bool
}

func uiCommand(s streams) *cobra.Command {
	var o uiOptions
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "Serve a page about job servers: their functions and queues",
		Long: `Serve a page about job servers: their functions, queues and workers. For pools on this machine, use "gearmanctl up --ui", which
shows them too. The page is read-only unless --ui-actions lets its readers submit jobs. Whoever reaches the address sees it:
keep it on the loopback address, or behind a proxy that knows who may.`,
		Example: "  gearmanctl ui --server gearmand.example.com",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return ui(cmd.Context(), s.out, &o) },
	}
	cmd.Flags().StringSliceVar(&o.servers, "server", []string{"127.0.0.1:4730"}, "job servers")
	cmd.Flags().StringVar(&o.listen, "listen", defaultUI, "address to serve the page on")
	addActionsFlag(cmd, &o.actions)
	return cmd
}

const defaultUI = "127.0.0.1:8730"

func addActionsFlag(cmd *cobra.Command, actions *bool) {
	cmd.Flags().BoolVar(actions, "ui-actions", false, "let readers of the page submit jobs")
}

// ui serves the page until ctx ends.
func ui(ctx context.Context, out io.Writer, o *uiOptions) error {
	for _, server := range o.servers {
		if _, _, err := cli.SplitPort(server); err != nil {
			return fmt.Errorf("--server: %w", err)
		}
	}
	source := &serverSource{servers: o.servers}
	defer source.close()
	options := page.Options{}
	if o.actions {
		options.Submit = submitTo(func(string) []string { return o.servers })
	}
	stop, addr, err := servePage(ctx, o.listen, source, options)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Fprintf(out, "The page is at http://%s/\n", addr)
	<-ctx.Done()
	return nil
}

// servePage serves a page in the background. stop ends it and waits for its goroutines.
func servePage(ctx context.Context, listen string, source page.Source, o page.Options) (stop func(), addr string, err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return nil, "", fmt.Errorf("listen for the page: %w", err)
	}
	handler := page.New(source, o)
	ctx, cancel := context.WithCancel(ctx)
	server := httpServer(handler)
	// What waits for events ends with the page.
	server.BaseContext = func(net.Listener) context.Context { return ctx }
	var wg sync.WaitGroup
	wg.Go(func() { handler.Run(ctx) })
	wg.Go(func() { _ = server.Serve(l) }) // it ends with Close
	return func() {
		cancel()
		_ = server.Close()
		wg.Wait()
	}, l.Addr().String(), nil
}

// submitTo returns what runs a job of the page's form, at the job servers of its function.
func submitTo(serversOf func(function string) []string) func(context.Context, string, []byte) ([]byte, error) {
	return func(ctx context.Context, function string, workload []byte) (result []byte, err error) {
		servers := serversOf(function)
		if len(servers) == 0 {
			return nil, fmt.Errorf("no pool has the function %q", function)
		}
		c, err := client.New(client.Options{Servers: servers, Select: client.InOrder})
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, c.Close()) }()
		return c.Do(ctx, function, workload)
	}
}

// serverSource reads job servers for the page. It is called by one goroutine at a time.
type serverSource struct {
	servers []string
	conns   map[string]*admin.Conn
	last    map[string]page.Server
}

const uiTimeout = 3 * time.Second

// Snapshot asks all job servers. One that does not answer is shown so.
func (s *serverSource) Snapshot(ctx context.Context) (page.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, uiTimeout)
	defer cancel()
	out := page.Snapshot{At: time.Now()}
	functions := map[string]*page.Function{}
	if s.last == nil {
		s.conns, s.last = map[string]*admin.Conn{}, map[string]page.Server{}
	}
	for _, name := range s.servers {
		addresses, err := admin.Resolve(ctx, nil, name)
		if err != nil {
			out.Servers = append(out.Servers, page.Server{Address: name, State: "NameNotFound"})
			continue
		}
		for _, address := range addresses {
			found, err := s.ask(ctx, address)
			server := s.last[address]
			server.Address, server.State = address, "OK"
			if err != nil {
				server.State = "Unreachable"
			} else {
				server.Answer = out.At
			}
			s.last[address] = server
			out.Servers = append(out.Servers, server)
			add(functions, found)
		}
	}
	for _, f := range functions {
		out.Functions = append(out.Functions, *f)
	}
	slices.SortFunc(out.Functions, func(a, b page.Function) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func add(functions map[string]*page.Function, found []admin.FunctionStatus) {
	for _, f := range found {
		sum := functions[f.Function]
		if sum == nil {
			sum = &page.Function{Name: f.Function}
			functions[f.Function] = sum
		}
		sum.Queued += int64(f.Queued())
		sum.Running += max(0, f.Running)
		sum.Workers += int32(f.Workers)
	}
}

// ask asks one job server, over a connection that stays until something is wrong with it.
func (s *serverSource) ask(ctx context.Context, address string) ([]admin.FunctionStatus, error) {
	conn := s.conns[address]
	if conn == nil {
		var err error
		if conn, err = admin.Dial(ctx, address, admin.Options{Timeout: uiTimeout, ConnectTimeout: uiTimeout}); err != nil {
			return nil, err
		}
		s.conns[address] = conn
	}
	found, err := conn.Status(ctx)
	if err != nil {
		_ = conn.Close()
		delete(s.conns, address)
	}
	return found, err
}

func (s *serverSource) close() {
	for _, conn := range s.conns {
		_ = conn.Close() // it was only read from
	}
}

// poolServers returns the job servers of the pools that serve a function.
func poolServers(source page.Source) func(function string) []string {
	return func(function string) []string {
		s, err := source.Snapshot(context.Background())
		if err != nil {
			return nil
		}
		for _, p := range s.Pools {
			if slices.Contains(p.Functions, function) {
				return p.Servers
			}
		}
		return nil
	}
}
