package resolve

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func addrs(n int) (out []netip.Addr) {
	for i := range n {
		out = append(out, netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)}))
	}
	return out
}

func TestChoose(t *testing.T) {
	t.Parallel()
	all := addrs(6)
	tests := map[string]struct {
		found, used []netip.Addr
		most        int
		want        []netip.Addr
	}{
		"all fit":              {all, nil, 6, all},
		"the first":            {all, nil, 2, all[:2]},
		"those in use stay":    {all, all[3:5], 2, all[3:5]},
		"and the first others": {all, all[4:5], 3, []netip.Addr{all[0], all[1], all[4]}},
		"not if they are gone": {all[:4], all[4:], 2, all[:2]},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(
				tt.want, Choose(tt.found, tt.used, tt.most), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
			); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The chosen addresses don't keep the others in memory.
func TestChooseKeepsNoMore(t *testing.T) {
	t.Parallel()
	if got := Choose(addrs(500), nil, 64); len(got) != 64 || cap(got) > 64 {
		t.Errorf("%d addresses in room for %d", len(got), cap(got))
	}
	if got := Choose(addrs(500), addrs(500), 64); len(got) != 64 {
		t.Errorf("%d addresses", len(got))
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ host, domain, want string }{
		"one label":      {"gearmand", "cluster.local", "gearmand.shop.svc.cluster.local."},
		"of the cluster": {"gearmand.jobs.svc", "cluster.local", "gearmand.jobs.svc.cluster.local."},
		"absolute":       {"gearmand.example.com", "cluster.local", "gearmand.example.com."},
		"two labels":     {"gearmand.jobs", "cluster.local", "gearmand.jobs."},
		"with the domain": {
			"gearmand.jobs.svc.cluster.local", "cluster.local", "gearmand.jobs.svc.cluster.local.",
		},
		"with a dot at the end":       {"gearmand.example.com.", "cluster.local", "gearmand.example.com."},
		"an address":                  {"10.0.0.1", "cluster.local", "10.0.0.1"},
		"no cluster, one label":       {"gearmand", "", "gearmand"},
		"no cluster, of the cluster":  {"gearmand.jobs.svc", "", "gearmand.jobs.svc"},
		"no cluster, an absolute one": {"gearmand.example.com", "", "gearmand.example.com."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Name(tt.host, "shop", tt.domain); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ file, domain, namespace string }{
		"kubelet's": {
			"search ops.svc.cluster.local svc.cluster.local cluster.local example.com\nnameserver 10.96.0.10\noptions ndots:5\n",
			"cluster.local", "ops",
		},
		"another": {
			"nameserver 10.96.0.10\nsearch ops.svc.k8s.example. svc.k8s.example. k8s.example.\n", "k8s.example", "ops",
		},
		"no cluster":   {"search example.com\nnameserver 192.168.0.1\n", "", ""},
		"none":         {"", "", ""},
		"a later list": {"search svc.cluster.local\nsearch example.com\n", "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "resolv.conf")
			if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			if domain, namespace := Cluster(path); domain != tt.domain || namespace != tt.namespace {
				t.Errorf("%q, %q; want %q, %q", domain, namespace, tt.domain, tt.namespace)
			}
		})
	}
	if domain, namespace := Cluster(filepath.Join(t.TempDir(), "none")); domain != "" || namespace != "" {
		t.Errorf("%q, %q without a file", domain, namespace)
	}
}

func TestOneFamily(t *testing.T) {
	t.Parallel()
	addrs := func(in ...string) (out []netip.Addr) {
		for _, a := range in {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	tests := map[string]struct{ in, want []netip.Addr }{
		"dual stack": {addrs("2001:db8::1", "10.0.0.1"), addrs("10.0.0.1")},
		"more of v6": {addrs("2001:db8::1", "2001:db8::2", "10.0.0.1"), addrs("2001:db8::1", "2001:db8::2")},
		"only v6":    {addrs("2001:db8::1"), addrs("2001:db8::1")},
		"mapped":     {addrs("::ffff:10.0.0.1"), addrs("10.0.0.1")},
		"none":       {nil, nil},
	}
	for name, tt := range tests {
		got, _ := Families(tt.in)
		if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
