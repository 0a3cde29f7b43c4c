package workerruntime

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/internal/resolve"
)

// TestCheckUsesTheWorkersAddresses: --check tries the addresses that the worker would use: one
// address family, and the other if none of the first answers.
func TestCheckUsesTheWorkersAddresses(t *testing.T) {
	t.Parallel()
	one := gearmantest.NewServer(gearmantest.Options{InMemory: true, Addr: "192.0.2.1:4730", Version: "1.1.20"})
	t.Cleanup(one.Close)
	v6 := gearmantest.NewServer(gearmantest.Options{InMemory: true, Addr: "[2001:db8::9]:4730", Version: "1.1.22"})
	t.Cleanup(v6.Close)
	tests := map[string]struct {
		addrs []string
		want  []string
	}{
		"the first family answers": {
			[]string{"2001:db8::9", "192.0.2.1"}, []string{"192.0.2.1:4730 (gearmand) ok 1.1.20"},
		},
		"only the other does": {
			[]string{"2001:db8::9", "192.0.2.7"}, []string{"[2001:db8::9]:4730 (gearmand) ok 1.1.22"},
		},
		"one of two answers": {
			[]string{"192.0.2.7", "192.0.2.1", "2001:db8::9"},
			[]string{"192.0.2.1:4730 (gearmand) ok 1.1.20", "192.0.2.7:4730 (gearmand) failed"},
		},
		"none does": {
			[]string{"2001:db8::7", "192.0.2.7"}, []string{"192.0.2.7:4730 (gearmand) failed"},
		},
		"no address": {nil, []string{"gearmand:4730 failed"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &resolve.Resolver{LookupNetIPWith: func(
				context.Context, string, string,
			) (out []netip.Addr, err error) {
				for _, a := range tc.addrs {
					out = append(out, netip.MustParseAddr(a))
				}
				return out, nil
			}}
			var got []string
			for _, s := range tryServers(
				t.Context(), gearman.Address{Host: "gearmand", Port: 4730}, r,
				admin.Options{Dialer: gearmantest.Dialer(one, v6)},
			) {
				result := "failed"
				if s.err == nil {
					result = "ok " + strings.TrimPrefix(s.version, "OK ")
				}
				got = append(got, s.name+" "+result)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("tries (-want +got):\n%s", diff)
			}
		})
	}
}
