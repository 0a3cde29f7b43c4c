package cli

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/internal/page"
)

// somePools is a source of one pool.
type somePools struct{ server string }

func (somePools) Snapshot(context.Context) (page.Snapshot, error) {
	return page.Snapshot{
		At: time.Now(), Note: "from the status",
		Pools:   []page.Pool{{Namespace: "shop", Name: "resize", Functions: []string{"resize"}, Reason: "Steady"}},
		Servers: []page.Server{{Address: "10.0.0.9:4730", State: "Refused", AnswerUnknown: true}},
	}, nil
}

func (somePools) Run(ctx context.Context) { <-ctx.Done() }

func (s somePools) Find(_ context.Context, function string) ([]Endpoint, error) {
	if function != "resize" {
		return nil, nil
	}
	return []Endpoint{{Name: s.server, Addr: s.server}}, nil
}

// announced forwards the address that the command prints.
type announced chan string

func (a announced) Write(p []byte) (int, error) {
	if _, url, ok := strings.Cut(strings.TrimSpace(string(p)), "The page is at "); ok {
		a <- url
	}
	return len(p), nil
}

// serveUI runs the command until the test ends, and returns the page's address.
func serveUI(t *testing.T, pools *PoolPage, args ...string) string {
	t.Helper()
	out := make(announced, 1)
	c := &Commands{
		In: strings.NewReader(""), Out: out, ErrOut: io.Discard, Program: "p", Server: "s", Targets: DirectTargets,
		Find: Direct,
	}
	cmd := c.UI(pools)
	cmd.SetArgs(append([]string{"--listen", "127.0.0.1:0"}, args...))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case url := <-out:
		return url
	case err := <-done:
		done <- err
		t.Fatalf("the command ended: %v", err)
		return ""
	}
}

func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

// awaitPage waits until a page has all that is wanted.
func awaitPage(t *testing.T, url string, want ...string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		_, body := fetch(t, url)
		missing := ""
		for _, text := range want {
			if !strings.Contains(body, text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not there within a minute:\n%s", missing, body)
		}
	}
}

// The page shows pools and job servers, and runs jobs at the pool's job servers; without the token
// there is nothing to see.
func TestUIWithPools(t *testing.T) {
	t.Parallel()
	server := gearmantest.NewServer(gearmantest.Options{})
	t.Cleanup(server.Close)
	c, err := client.New(client.Options{Servers: []string{server.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Background(t.Context(), &client.Task{Function: "forgotten"}); err != nil {
		t.Fatal(err)
	}
	pools := &PoolPage{
		Short: "s", AddFlags: func(*cobra.Command) {},
		Open: func(context.Context) (PoolSource, error) { return somePools{server.Addr()}, nil },
	}
	url := serveUI(t, pools, "--server", server.Addr())
	awaitPage(t, url, "shop/resize", "forgotten", "from the status")
	awaitPage(t, url+"servers", server.Addr(), "10.0.0.9:4730", "not known")
	awaitPage(t, url+"functions", "forgotten", "not known")
	if status, _ := fetch(t, url+"pools/shop/resize"); status != http.StatusOK {
		t.Errorf("the pool's page has status %d", status)
	}
	if status, _ := fetch(t, url+"static/page.css"); status != http.StatusOK {
		t.Errorf("the style has status %d", status)
	}
	root := url[:strings.LastIndex(strings.TrimSuffix(url, "/"), "/")+1]
	for _, wrong := range []string{root, root + "x/", strings.TrimSuffix(url, "/"), root + "static/page.css"} {
		if status, body := fetch(t, wrong); status != http.StatusNotFound || strings.Contains(body, "resize") ||
			!strings.Contains(body, "token") {
			t.Errorf("%s: status %d, %s", wrong, status, body)
		}
	}
}

func TestUIRefuses(t *testing.T) {
	t.Parallel()
	broken := &PoolPage{
		AddFlags: func(*cobra.Command) {},
		Open:     func(context.Context) (PoolSource, error) { return nil, errors.New("list pools: forbidden") },
	}
	for name, tt := range map[string]struct {
		pools *PoolPage
		args  []string
		want  string
	}{
		"a server":              {nil, []string{"--server", "h:x"}, "--server"},
		"an address":            {nil, []string{"--listen", "nowhere:x"}, "listen for the page"},
		"a timeout":             {nil, []string{"--timeout", "0s"}, "--timeout must be greater than 0"},
		"pools for all":         {broken, []string{"--listen", "0.0.0.0:0"}, "use a loopback address"},
		"pools for all, by IP6": {broken, []string{"--listen", ":0"}, "use a loopback address"},
		"pools":                 {broken, []string{"--listen", "[::1]:0"}, "list pools: forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &Commands{Out: io.Discard, ErrOut: io.Discard, Find: Direct}
			cmd := c.UI(tt.pools)
			cmd.SetArgs(tt.args)
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

// A job server that is slow to be found delays nothing about the others, and is shown as soon as it
// answers.
func TestSlowServerDelaysNoOther(t *testing.T) {
	t.Parallel()
	servers := map[string]*gearmantest.Server{
		"fast": gearmantest.NewServer(gearmantest.Options{}), "slow": gearmantest.NewServer(gearmantest.Options{}),
	}
	for name, server := range servers {
		t.Cleanup(server.Close)
		c, err := client.New(client.Options{Servers: []string{server.Addr()}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Background(t.Context(), &client.Task{Function: name}); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	found := make(chan struct{})
	find := func(ctx context.Context, target string) ([]Endpoint, error) {
		if target == "slow" {
			select {
			case <-found:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return []Endpoint{{Name: target, Addr: servers[target].Addr()}}, nil
	}
	s := newServerSource(
		context.Background(), find, &connectOptions{timeout: time.Minute}, nil, []string{"slow", "fast"},
	)
	defer s.close()
	await := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; {
			shown, err := s.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			names := []string{}
			for _, f := range shown.Functions {
				names = append(names, f.Name)
			}
			if strings.Join(names, " ") == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("functions %q within a minute, want %q", names, want)
			}
		}
	}
	await("fast")
	close(found)
	await("fast slow")
	servers["fast"].Close()
	for deadline := time.Now().Add(time.Minute); ; {
		shown, err := s.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := len(shown.Servers); n == 2 && shown.Servers[1].State == "Unreachable" &&
			shown.Servers[0].State == "OK" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the closed job server is not reported within a minute: %+v", shown.Servers)
		}
	}
}
