package jobserver_test

import (
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// What FreeAddr returns can be listened on, once and again, and is returned once.
func TestFreeAddr(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 120 { // more than a block has
		addr, err := jobserver.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		if seen[addr] {
			t.Errorf("%s was returned twice", addr)
		}
		seen[addr] = true
		for range 2 { // the kernel keeps no port of a closed listener
			if err := jobserver.ListenAndClose(addr); err != nil {
				t.Fatal(err)
			}
		}
	}
}
