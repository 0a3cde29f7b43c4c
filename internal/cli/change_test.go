package cli

import (
	"strings"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// functionsOf returns the functions that a job server lists.
func functionsOf(t *testing.T, addr string) map[string]uint64 {
	t.Helper()
	conn, err := admin.Dial(t.Context(), addr, admin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	functions, err := conn.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]uint64{}
	for _, f := range functions {
		all[f.Function] = f.Total
	}
	return all
}

func TestCancel(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	handle, _, err := run(t, "", "submit", "resize", "--to", server.Addr, "--background")
	if err != nil {
		t.Fatal(err)
	}
	handle = strings.TrimSpace(handle)
	if out, _, err := run(t, "", "cancel", handle); err != nil || !strings.Contains(out, "canceled H:") {
		t.Errorf("cancel %s: %q, %v", handle, out, err)
	}
	if _, _, err := run(t, "", "cancel", "H:nobody:99", "--at", server.Addr); err == nil ||
		!strings.Contains(err.Error(), server.Addr) {
		t.Errorf("error = %v, want one about a job that %s does not know", err, server.Addr)
	}
}

func TestDrop(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	queue(t, server.Addr, "resize")

	_, _, err := run(t, "", "drop", "resize", "--at", server.Addr)
	if err == nil || !strings.Contains(err.Error(), "1 jobs and 0 workers") ||
		!strings.Contains(err.Error(), "--force") {
		t.Errorf("error = %v, want a refusal that tells of the job and of --force", err)
	}
	if functionsOf(t, server.Addr)["resize"] != 1 {
		t.Error("the refused command dropped the function")
	}
	if _, _, err := run(t, "", "drop", "nobody", "--at", server.Addr); err == nil ||
		!strings.Contains(err.Error(), "no function nobody") {
		t.Errorf("error = %v, want one about an unknown function", err)
	}
	if out, _, err := run(t, "", "drop", "resize", "--at", server.Addr, "--force"); err != nil ||
		!strings.Contains(out, "dropped resize") {
		t.Errorf("drop: %q, %v", out, err)
	}
	if _, ok := functionsOf(t, server.Addr)["resize"]; ok {
		t.Error("the function is still listed")
	}
}
