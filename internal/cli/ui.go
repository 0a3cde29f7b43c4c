package cli

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/internal/page"
)

// DefaultPage is where the page is served unless the user says otherwise.
const DefaultPage = "127.0.0.1:8730"

// PoolPage adds pools to the page of the command ui.
type PoolPage struct {
	Short, Long, Example string
	AddFlags             func(*cobra.Command)
	// Open returns the pools to show.
	Open func(ctx context.Context) (PoolSource, error)
}

// PoolSource provides the page's pools.
type PoolSource interface {
	page.Source
	// Run keeps the source up to date until ctx ends.
	Run(ctx context.Context)
	// Find returns the job servers of the pools that serve a function.
	Find(ctx context.Context, function string) ([]Endpoint, error)
}

type uiOptions struct {
	connect connectOptions
	servers []string
	listen  string
	actions bool
}

// UI is the command that serves the page: about job servers, and about pools as well unless pools
// is nil. A page about pools shows what its user may read in a cluster, so it listens on the
// loopback address only, and nobody finds it without its token.
func (c *Commands) UI(pools *PoolPage) *cobra.Command {
	var o uiOptions
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "Serve a page about job servers: their functions and queues",
		Long: `Serve a page about job servers: their functions, queues and workers. For pools on this machine, use "gearmanctl up --ui", which
shows them too. The page is read-only unless --ui-actions lets its readers submit jobs. Anyone who can reach the address
sees it: keep it on the loopback address, or behind a proxy that checks who may see it.

` + c.Targets,
		Example: c.examples("  PROGRAM ui --server SERVER"),
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.ui(cmd.Context(), &o, pools) },
	}
	servers := []string{}
	if c.DefaultServer != "" {
		servers = append(servers, c.DefaultServer)
	}
	if pools != nil {
		cmd.Short, cmd.Long, cmd.Example = pools.Short, pools.Long+"\n\n"+c.Targets, pools.Example
		pools.AddFlags(cmd)
	}
	cmd.Flags().StringSliceVar(&o.servers, "server", servers, "job servers to show the queues of")
	cmd.Flags().StringVar(&o.listen, "listen", DefaultPage, "address to serve the page on")
	AddActionsFlag(cmd, &o.actions)
	o.connect.addFlags(cmd)
	return cmd
}

// AddActionsFlag adds the flag that allows actions on the page.
func AddActionsFlag(cmd *cobra.Command, actions *bool) {
	cmd.Flags().BoolVar(actions, "ui-actions", false, "let readers of the page submit jobs")
}

// ui serves the page until ctx ends.
func (c *Commands) ui(ctx context.Context, o *uiOptions, pools *PoolPage) error {
	tlsConfig, err := o.connect.tlsConfig()
	if err != nil {
		return err
	}
	for _, server := range o.servers {
		_, name, inCluster := strings.Cut(server, "/")
		if !inCluster {
			name = server
		}
		if _, _, err := SplitPort(name); err != nil {
			return fmt.Errorf("--server: %w", err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()

	servers := newServerSource(ctx, c.Find, &o.connect, tlsConfig, o.servers)
	defer servers.close()
	p := Page{Listen: o.listen, Source: servers}
	find := servers.endpoints
	if pools != nil {
		if !isLoopback(o.listen) {
			return fmt.Errorf(
				"--listen %s: the page shows what you may read in the cluster, so use a loopback address, as in %s",
				o.listen, DefaultPage,
			)
		}
		source, err := pools.Open(ctx)
		if err != nil {
			return err
		}
		running.Go(func() { source.Run(ctx) })
		p.Source, p.Token = &joined{source, servers}, rand.Text()
		if len(o.servers) == 0 {
			find = source.Find
		}
	}
	if o.actions {
		p.Options.Submit = SubmitTo(find, tlsConfig)
	}
	stop, url, err := p.Serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Fprintf(c.Out, "The page is at %s\n", url)
	<-ctx.Done()
	return nil
}

func isLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return true // Listen reports the error
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Page is a page to serve.
type Page struct {
	Listen  string
	Source  page.Source
	Options page.Options
	// Token, unless it is empty, is the first part of the path: the page is invisible without it.
	Token string
}

// Serve serves the page in the background. stop ends it and waits for its goroutines.
func (p *Page) Serve(ctx context.Context) (stop func(), url string, err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.Listen)
	if err != nil {
		return nil, "", fmt.Errorf("listen for the page: %w", err)
	}
	handler := page.New(p.Source, p.Options)
	ctx, cancel := context.WithCancel(ctx)
	server := NewHTTPServer(handler)
	url = "http://" + l.Addr().String() + "/"
	if p.Token != "" {
		server.Handler = underToken(p.Token, handler)
		url += p.Token + "/"
	}
	// Requests that wait for events end with the page.
	server.BaseContext = func(net.Listener) context.Context { return ctx }
	var wg sync.WaitGroup
	wg.Go(func() { handler.Run(ctx) })
	wg.Go(func() { _ = server.Serve(l) }) // it ends with Close
	return func() {
		cancel()
		_ = server.Close()
		wg.Wait()
	}, url, nil
}

// underToken serves next under a secret path.
func underToken(token string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, _, slash := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if !slash || subtle.ConstantTimeCompare([]byte(first), []byte(token)) != 1 {
			http.Error(w, "Open the whole address that the command printed: it ends with a token.", http.StatusNotFound)
			return
		}
		http.StripPrefix("/"+token, next).ServeHTTP(w, r)
	})
}

// NewHTTPServer returns a server with limits that suit pages and metrics.
func NewHTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
	}
}

// SubmitTo returns a function that runs a job of the page's form, at the job servers that find
// returns for its function.
func SubmitTo(
	find func(ctx context.Context, function string) ([]Endpoint, error), tlsConfig *tls.Config,
) func(context.Context, string, []byte) ([]byte, error) {
	return func(ctx context.Context, function string, payload []byte) (result []byte, err error) {
		servers, err := find(ctx, function)
		if err != nil {
			return nil, err
		}
		if len(servers) == 0 {
			return nil, fmt.Errorf("no pool has the function %q", function)
		}
		addresses := make([]string, len(servers))
		for i := range servers {
			addr, done, err := servers[i].open(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", servers[i].Name, err)
			}
			defer done()
			addresses[i] = addr
		}
		c, err := client.New(client.Options{Servers: addresses, Select: client.InOrder, TLS: tlsConfig})
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, c.Close()) }()
		return c.Do(ctx, &client.Task{Function: function, Payload: payload})
	}
}
