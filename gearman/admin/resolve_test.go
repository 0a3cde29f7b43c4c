package admin

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
)

type answers struct {
	ips []string
	err error
}

func (a answers) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, ip := range a.ips {
		out = append(out, netip.MustParseAddr(ip))
	}
	return out, a.err
}

func TestResolve(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	tests := map[string]struct {
		address string
		answer  answers
		want    []string
		wantErr string
	}{
		"a name with several addresses": {
			address: "jobs.example", answer: answers{ips: []string{"192.0.2.2", "192.0.2.1", "192.0.2.2"}},
			want: []string{"192.0.2.1:4730", "192.0.2.2:4730"},
		},
		"of the family with more addresses": {
			address: "jobs.example:99", answer: answers{ips: []string{"2001:db8::1", "192.0.2.1", "2001:db8::2"}},
			want: []string{"[2001:db8::1]:99", "[2001:db8::2]:99"},
		},
		"an address, which isn't looked up": {
			address: "192.0.2.1", answer: answers{err: refused}, want: []string{"192.0.2.1:4730"},
		},
		"no answer": {
			address: "jobs.example", answer: answers{err: refused},
			wantErr: "resolve job server jobs.example:4730: refused",
		},
		"an empty answer":   {address: "jobs.example", wantErr: "the name has no addresses"},
		"no address at all": {address: "jobs.example:x", wantErr: "the port is not a number"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Resolve(t.Context(), tt.answer, tt.address)
			if diff := check.Diff(tt.want, got); diff != "" {
				t.Errorf("addresses (-want +got):\n%s", diff)
			}
			if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("error %v, want one with %q", err, tt.wantErr)
			}
		})
	}
}
