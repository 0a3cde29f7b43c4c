package worker

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
)

// names resolves names with a table that a test changes.
type names struct {
	mu    sync.Mutex
	table map[string][]string
}

func (n *names) set(name string, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.table[name] = addrs
}

func (n *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	addrs, ok := n.table[host]
	if !ok {
		return nil, fmt.Errorf("no such host %s", host)
	}
	var out []netip.Addr
	for _, a := range addrs {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, nil
}

func TestNamesAreFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		b := gearmantest.NewServer(gearmantest.InMemory("10.0.0.2:4730"))
		n := &names{table: map[string][]string{}}
		o := Options{Servers: []string{"gearmand.jobs"}, Resolver: n}
		inBubble(t, o, []*gearmantest.Server{a, b}, map[string]Handler{"f": reverse}, func(w *Worker) {
			servers := func() (out []string) {
				for _, s := range w.Status().Servers {
					out = append(out, s.Server)
				}
				return out
			}
			time.Sleep(time.Minute)
			if st := w.Status(); !st.Resolving || len(st.Servers) != 0 {
				t.Errorf("before the name resolves: %+v", st)
			}
			n.set("gearmand.jobs", "10.0.0.1", "fd00::1")
			time.Sleep(time.Minute)
			if got := fmt.Sprint(servers()); got != "[10.0.0.1:4730]" {
				t.Errorf("one address, of the first family: %s", got)
			}
			n.set("gearmand.jobs", "10.0.0.2")
			time.Sleep(time.Minute)
			if got := fmt.Sprint(servers()); got != "[10.0.0.1:4730 10.0.0.2:4730]" {
				t.Errorf("an address that left is kept while connected: %s", got)
			}
			n.set("gearmand.jobs") // a failed lookup is not an empty result
			a.CloseConnections()
			time.Sleep(time.Minute)
			if got := fmt.Sprint(servers()); got != "[10.0.0.2:4730]" {
				t.Errorf("gone from the name and disconnected: %s", got)
			}
			n.set("gearmand.jobs", "10.0.0.1", "10.0.0.2")
			time.Sleep(time.Minute)
			if st := w.Status(); st.Connected != 2 {
				t.Errorf("back in the name: %+v", st)
			}
		})
	})
}
