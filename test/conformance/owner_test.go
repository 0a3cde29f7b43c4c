package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// own starts servers until one listens on its port itself. Another test's server can take a free
// port between the time it is chosen and the time the new server listens. It then answers in the
// new server's place until the new one has ended.
func own(tb testing.TB, start func() *jobserver.Server) *jobserver.Server {
	tb.Helper()
	for range 5 {
		s := start()
		if listens(tb, s) {
			return s
		}
		s.Stop()
	}
	tb.Fatal("five job servers in turn lost their ports to others")
	return nil
}

// listens reports whether the server's own process listens on its port.
func listens(tb testing.TB, s *jobserver.Server) bool {
	tb.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		tb.Logf("who listens on %s can't be told: %v", s.Addr, err)
		return true // not Linux
	}
	const listening = "0A"
	local := fmt.Sprintf("0100007F:%04X", s.Port())
	for line := range strings.Lines(string(table)) {
		// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
		f := strings.Fields(line)
		if len(f) < 10 || f[1] != local || f[3] != listening {
			continue
		}
		fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.PID()))
		if err != nil {
			tb.Fatal(err)
		}
		for _, fd := range fds {
			if to, err := os.Readlink(fd); err == nil && to == "socket:["+f[9]+"]" {
				return true
			}
		}
	}
	return false
}

func TestListens(t *testing.T) {
	t.Parallel()
	a := own(t, func() *jobserver.Server { return jobserver.Gearmand(t) })
	b := own(t, func() *jobserver.Server { return jobserver.Gearmand(t) })
	stolen := *a
	stolen.Addr = b.Addr
	if listens(t, &stolen) {
		t.Errorf("process %d is said to listen on %s, which is process %d's", a.PID(), b.Addr, b.PID())
	}
}
