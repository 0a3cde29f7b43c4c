package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

// Jobs are listed with the handles by which they can be canceled.
func TestJobs(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	queue(t, server.Addr, "resize")
	list := func() (rows []jobRow) {
		t.Helper()
		out, _, err := run(t, "", "jobs", server.Addr, "-o", "json")
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(out), &rows); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		return rows
	}
	rows := list()
	if len(rows) != 1 || !strings.HasPrefix(rows[0].Handle, "H:") || rows[0].Kind != "background" ||
		rows[0].State != "queued or running" || rows[0].Server != server.Addr {
		t.Fatalf("jobs: %+v", rows)
	}
	if out, _, err := run(t, "", "cancel", rows[0].Handle, "--at", server.Addr); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, row := range list() {
		if row.State == "queued or running" {
			t.Errorf("after cancel: %+v", row)
		}
	}
	if j := (admin.Job{}); jobKind(&j) != "foreground" {
		t.Error(jobKind(&j))
	}
}

// Perl's job server has no list of jobs, and the error says so.
func TestJobsOfAServerWithoutAList(t *testing.T) {
	t.Parallel()
	server := gearmantest.NewServer(gearmantest.Options{Dialect: gearmantest.Perl})
	t.Cleanup(server.Close)
	if _, _, err := run(t, "", "jobs", server.Addr()); err == nil {
		t.Error("no error")
	}
}
