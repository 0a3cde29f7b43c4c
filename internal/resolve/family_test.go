package resolve

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// six returns IPv6 addresses.
func six(n int) (out []netip.Addr) {
	for i := range n {
		out = append(out, netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1)))
	}
	return out
}

// The addresses that a worker's library uses from the resolver are the operator's: the same family
// first, and the other one in reserve, within the bounds.
func TestWorkersAndOperatorUseTheSameFamily(t *testing.T) {
	t.Parallel()
	equal := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	for _, bound := range []int{0, 1, 10} {
		for _, four := range []int{0, 1, 2, 63, 64, 65, 100} {
			for _, v6 := range []int{0, 1, 2, 63, 64, 65, 100} {
				if four+v6 == 0 {
					continue
				}
				found := append(six(v6), addrs(four)...)
				r := &Resolver{
					LookupNetIPWith: func(context.Context, string, string) ([]netip.Addr, error) {
						return slices.Clone(found), nil
					},
				}
				if bound > 0 {
					r.Servers, r.MaxServers = []gearman.Address{{Host: "gearmand", Port: 4730}}, bound
				}
				answer, err := r.LookupNetIP(t.Context(), "ip", "gearmand")
				if err != nil {
					t.Fatal(err)
				}
				first, other := Families(answer)
				most := MaxAddresses
				if bound > 0 {
					most = bound
				}
				want, rest := Families(found) // as the operator does
				want = Choose(want, nil, most)
				if diff := cmp.Diff(want, first, equal); diff != "" {
					t.Errorf("%d and %d addresses, bound %d: %s", four, v6, bound, diff)
				}
				if len(other) > len(first) || len(rest) > 1 && len(first) > 1 && len(other) == 0 {
					t.Errorf(
						"%d and %d addresses, bound %d: %d of the first family, %d of the other", four, v6, bound,
						len(first), len(other),
					)
				}
			}
		}
	}
}
