package jobserver_test

import (
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// TestFreeAddr checks that each address can be listened on repeatedly, and is returned only once.
func TestFreeAddr(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 120 { // more than one block of ports
		addr, err := jobserver.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		if seen[addr] {
			t.Errorf("%s was returned twice", addr)
		}
		seen[addr] = true
		for range 2 { // the kernel releases the port of a closed listener at once
			if err := jobserver.ListenAndClose(addr); err != nil {
				t.Fatal(err)
			}
		}
	}
}
