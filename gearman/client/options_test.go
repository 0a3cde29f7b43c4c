package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
)

// memory returns in-memory job servers at 192.0.2.1 and so on, and a client that uses them.
func memory(t *testing.T, n int, o client.Options) ([]*gearmantest.Server, *client.Client) {
	t.Helper()
	var servers []*gearmantest.Server
	for i := range n {
		s := gearmantest.NewServer(gearmantest.InMemory(fmt.Sprintf("192.0.2.%d:4730", i+1)))
		t.Cleanup(s.Close)
		servers = append(servers, s)
		if o.Resolver == nil {
			o.Servers = append(o.Servers, s.Addr())
		}
	}
	o.Dialer = gearmantest.Dialer(servers...)
	return servers, newClient(t, o)
}

func TestPrefix(t *testing.T) {
	t.Parallel()
	servers, c := memory(t, 1, client.Options{Prefix: "staging/"})
	ctx := within(t)
	if _, err := c.Background(ctx, &client.Task{Function: "f"}); err != nil {
		t.Fatal(err)
	}
	c.Produce(ctx, &client.Task{Function: "f"}, nil)
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if got, bare := servers[0].Function("staging/f").Total, servers[0].Function("f").Total; got != 2 || bare != 0 {
		t.Errorf("%d jobs with the prefix and %d without, want 2 and 0", got, bare)
	}
	// The name is checked with its prefix, and the error shows both.
	bad := newClient(t, client.Options{Servers: []string{"192.0.2.1"}, Prefix: "a b/"})
	if _, err := bad.Background(
		ctx, &client.Task{Function: "f"},
	); err == nil || !strings.Contains(err.Error(), "a b/f") {
		t.Errorf("a prefix with a blank: %v", err)
	}
}

// TestRendezvousMovesFewKeys checks that removing a job server moves only its own keys, and adding
// one moves keys only to it.
func TestRendezvousMovesFewKeys(t *testing.T) {
	t.Parallel()
	servers, three := memory(t, 3, client.Options{Select: client.ByKey})
	two := newClient(t, client.Options{
		Servers: []string{servers[0].Addr(), servers[2].Addr()}, Select: client.ByKey,
		Dialer: gearmantest.Dialer(servers...),
	})
	gone, moved := 0, 0
	for i := range 300 {
		task := &client.Task{Function: "f", Key: gearman.Key(fmt.Sprint("key", i))}
		before, err := three.Background(within(t), task)
		if err != nil {
			t.Fatal(err)
		}
		after, err := two.Background(within(t), task)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case before.Server == servers[1].Addr():
			gone++
		case before.Server != after.Server:
			moved++
		}
	}
	if moved != 0 || gone < 50 || gone > 150 {
		t.Errorf("%d keys moved without need, of 300 %d were the lost server's; want none, and about 100", moved, gone)
	}
	// If a key's job server can't be reached, the job goes to the one that is next for that key,
	// for any client.
	servers[1].Refuse()
	servers[1].CloseConnections()
	fresh := newClient(t, client.Options{
		Servers: []string{servers[2].Addr(), servers[1].Addr(), servers[0].Addr()}, Select: client.ByKey,
		Dialer: gearmantest.Dialer(servers...),
	})
	for i := range 50 {
		task := &client.Task{Function: "f", Key: gearman.Key(fmt.Sprint("key", i))}
		want, err := two.Background(within(t), task)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := fresh.Background(within(t), task); err != nil || got != want {
			t.Errorf("key %d: %v, %v, want %v", i, got, err, want)
		}
	}
}

// TestWriteTimeout checks that a job server that accepts no bytes is given up after WriteTimeout,
// even if it has answered all requests.
func TestWriteTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers, c := memory(t, 1, client.Options{WriteTimeout: 5 * time.Second, ReplyTimeout: time.Hour})
		ctx := context.Background()
		if err := c.Echo(ctx, []byte("x")); err != nil {
			t.Fatal(err)
		}
		servers[0].SetFault(gearmantest.Fault{Hang: true})
		begin := time.Now()
		_, err := c.Background(ctx, &client.Task{Function: "f", Payload: make([]byte, 1<<20)})
		if !errors.Is(err, client.ErrUncertain) || !strings.Contains(err.Error(), servers[0].Addr()) {
			t.Errorf("got %v, want ErrUncertain and the server's address", err)
		}
		if took := time.Since(begin); took < 5*time.Second || took > 11*time.Second {
			t.Errorf("it took %v, WriteTimeout is 5 s", took)
		}
		servers[0].SetFault(gearmantest.Fault{})
	})
}

// table resolves one name to addresses that a test sets.
type table struct {
	mu   sync.Mutex
	ips  []string
	err  error
	asks int
}

func (r *table) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asks++
	var out []netip.Addr
	for _, ip := range r.ips {
		out = append(out, netip.MustParseAddr(ip))
	}
	return out, r.err
}

func (r *table) set(err error, ips ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ips, r.err = ips, err
}

// TestNamesAreLookedUpAgain checks that a name is looked up again after ResolveInterval, and that
// jobs then go to its new addresses, or to the old ones while the lookup fails.
func TestNamesAreLookedUpAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		names := &table{ips: []string{"192.0.2.1"}}
		_, c := memory(
			t, 2, client.Options{Servers: []string{"jobs.example"}, Resolver: names, ResolveInterval: time.Minute},
		)
		where := func() string {
			t.Helper()
			id, err := c.Background(context.Background(), &client.Task{Function: "f"})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the lookup that it started has ended
			return id.Server
		}
		var got []string
		for range 3 {
			got = append(got, where())
		}
		names.set(nil, "192.0.2.2")
		got = append(got, where())
		time.Sleep(time.Minute)
		where() // starts the lookup whose result later calls use
		got = append(got, where())
		names.set(errors.New("no answer"))
		time.Sleep(time.Minute)
		where()
		got = append(got, where())
		want := []string{
			"192.0.2.1:4730", "192.0.2.1:4730", "192.0.2.1:4730", "192.0.2.1:4730", "192.0.2.2:4730", "192.0.2.2:4730",
		}
		if diff := check.Diff(want, got); diff != "" {
			t.Errorf("servers (-want +got):\n%s", diff)
		}
		if names.asks != 3 {
			t.Errorf("the name was looked up %d times, want once and then once a minute", names.asks)
		}
	})
}

func TestHooks(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	note := func(format string, a ...any) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf(format, a...))
	}
	again := time.Nanosecond
	servers, c := memory(t, 1, client.Options{QuarantineMin: again, QuarantineMax: again, Hooks: client.Hooks{
		ConnUp: func(c client.Conn) { note("up %s %v", c.Server, c.Took >= 0) },
		ConnDown: func(c client.Conn, err error) {
			server := c.Server
			note("down %s %v", server, err != nil)
		},
	}})
	ctx := within(t)
	if err := c.Echo(ctx, nil); err != nil {
		t.Fatal(err)
	}
	servers[0].Restart()
	for c.Echo(ctx, nil) != nil { // fails until the loss is detected
		if ctx.Err() != nil {
			t.Fatal(ctx.Err())
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	addr := servers[0].Addr()
	want := []string{
		"up " + addr + " true", "down " + addr + " true", "up " + addr + " true", "down " + addr + " false",
	}
	for { // Close doesn't wait for hooks
		mu.Lock()
		got := slices.Clone(seen)
		mu.Unlock()
		if len(got) == len(want) {
			if diff := check.Diff(want, got); diff != "" {
				t.Errorf("hooks (-want +got):\n%s", diff)
			}
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("hooks called: %q, want %q", got, want)
		}
		runtime.Gosched()
	}
}
