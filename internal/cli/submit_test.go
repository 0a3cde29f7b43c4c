package cli

import (
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// Each background job has a key of its own unless one is given: a persistent queue would keep only
// one of those without.
func TestSubmitKeys(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	for _, args := range [][]string{{}, {}, {"--unique", "mine"}, {"--unique", "mine"}} {
		if _, _, err := run(
			t, "", append([]string{"submit", "resize", "--to", server.Addr, "--background"}, args...)...,
		); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := admin.Dial(t.Context(), server.Addr, admin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	jobs, err := conn.UniqueJobs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for _, job := range jobs {
		keys[job.Unique] = true
	}
	if len(jobs) != 3 || len(keys) != 3 || keys[""] || !keys["mine"] {
		t.Errorf("jobs = %+v, want two with keys of their own, and one named mine", jobs)
	}
}
