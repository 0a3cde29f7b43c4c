package backlogtest

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
)

// Answers are what a played job server writes for each command.
type Answers map[string][]byte

// Watch returns a watcher that runs until the test ends, or its synctest bubble, on played job
// servers in memory. servers are their answers, by IP address.
func Watch(t *testing.T, o backlog.Options, servers map[string]Answers) *backlog.Watcher {
	t.Helper()
	var running sync.WaitGroup
	o.Dial = func(_ context.Context, addr netip.AddrPort) (net.Conn, error) {
		ours, theirs := net.Pipe()
		answers := servers[addr.Addr().String()]
		running.Go(func() { Serve(theirs, func(command string) []byte { return answers[command] }) })
		return ours, nil
	}
	w := backlog.New(o)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Errorf("run the watcher: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return w
}
