package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func mustOpen(t *testing.T, dir string, slots int) *Journal {
	t.Helper()
	j, err := Open(dir, slots)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// die ends a journal as its worker's death does: records stay as they are, the lock is released.
func die(t *testing.T, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestKillsAreCounted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keyed := Job{Server: "10.0.0.1:4730", Handle: "H:a:1", Function: "f", Unique: "k"}
	bare := Job{Server: "10.0.0.1:4730", Handle: "H:a:2", Function: "f"}
	ended := Job{Server: "10.0.0.1:4730", Handle: "H:a:3", Function: "f"}
	for n := range 3 {
		j := mustOpen(t, dir, 4)
		keyed.Handle = fmt.Sprint("H:a:1", n) // another attempt of the same job
		for slot, job := range []Job{keyed, bare} {
			if kills := j.Begin(slot, job); kills != n {
				t.Errorf("%+v: %d kills after %d deaths", job, kills, n)
			}
		}
		if kills := j.Begin(2, ended); kills != 0 {
			t.Errorf("a job that ended each time has %d kills", kills)
		}
		j.End(2)
		die(t, j)
	}
	j := mustOpen(t, dir, 4)
	if err := j.Settle(keyed); err != nil {
		t.Fatal(err)
	}
	die(t, j)
	j = mustOpen(t, dir, 1) // fewer slots than before
	defer j.Close()
	if kills := j.Begin(0, keyed); kills != 0 {
		t.Errorf("a settled job has %d kills", kills)
	}
	if kills := j.Begin(0, bare); kills != 3 {
		t.Errorf("the other job has %d kills, want 3", kills)
	}
	if kills := j.Begin(0, Job{Server: "10.0.0.2:4730", Handle: bare.Handle, Function: "f"}); kills != 0 {
		t.Errorf("another server's job of the same handle has %d kills", kills)
	}
}

// TestJournalsSideBySide: workers that run side by side have separate files, and a new one takes
// over the file of the dead one.
func TestJournalsSideBySide(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := mustOpen(t, dir, 1), mustOpen(t, dir, 1)
	job := Job{Server: "s", Handle: "h", Function: "f"}
	a.Begin(0, Job{Server: "s", Handle: "of a", Function: "f"})
	b.Begin(0, job)
	die(t, b)
	c := mustOpen(t, dir, 1)
	if kills := c.Begin(0, job); kills != 1 {
		t.Errorf("%d kills, want 1", kills)
	}
	die(t, a)
	die(t, c)
	if files, _ := filepath.Glob(filepath.Join(dir, "*.journal")); len(files) != 2 {
		t.Errorf("files %v", files)
	}
}

func TestLongNamesAreCut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := mustOpen(t, dir, 2)
	long := Job{
		Server: strings.Repeat("s", 2000), Handle: strings.Repeat("h", 2000), Function: strings.Repeat("f", 8000),
		Unique: strings.Repeat("u", 63),
	}
	j.Begin(0, long)
	j.Begin(1, Job{Server: "s", Handle: "h", Function: "g"})
	die(t, j)
	j = mustOpen(t, dir, 2)
	defer j.Close()
	if kills := j.Begin(1, Job{Server: "s", Handle: "h", Function: "g"}); kills != 1 {
		t.Errorf("%d kills of the job in the next record, want 1", kills)
	}
}

func TestOldKillsAreForgotten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := mustOpen(t, dir, 1)
	job := Job{Server: "s", Handle: "h", Function: "f"}
	j.kills[job] = kill{Job: job, Kills: 2, Last: time.Now().Add(-25 * time.Hour)}
	for n := range mostKills + 10 {
		other := Job{Server: "s", Handle: fmt.Sprint(n), Function: "f"}
		j.kills[other] = kill{Job: other, Kills: 1, Last: time.Now().Add(-time.Duration(n) * time.Second)}
	}
	if err := j.save(); err != nil {
		t.Fatal(err)
	}
	die(t, j)
	j = mustOpen(t, dir, 1)
	defer j.Close()
	if len(j.kills) != mostKills || j.kills[job].Kills != 0 || j.kills[Job{
		Server: "s", Handle: "0", Function: "f",
	}].Kills != 1 {
		t.Errorf("%d kills are remembered", len(j.kills))
	}
}

func TestBadJournals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "missing"), 1); err == nil {
		t.Error("a directory that is missing is accepted")
	}
	if err := os.WriteFile(filepath.Join(dir, "gearman-worker-0.journal.kills"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, 1); err == nil || !strings.Contains(err.Error(), "remove the file") {
		t.Errorf("garbled kills: %v", err)
	}
	other := t.TempDir()
	if err := os.WriteFile(
		filepath.Join(other, "gearman-worker-0.journal"), []byte(strings.Repeat("\x01\xff\xff", 2000)), 0o600,
	); err != nil {
		t.Fatal(err)
	}
	j := mustOpen(t, other, 1)
	defer j.Close()
	if len(j.kills) != 0 {
		t.Errorf("garbage counts as kills: %v", j.kills)
	}
}

func BenchmarkBegin(b *testing.B) {
	j, err := Open(b.TempDir(), 1)
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	job := Job{Server: "10.0.0.1:4730", Handle: "H:host:1234567", Function: "resize", Unique: "k"}
	for b.Loop() {
		j.Begin(0, job)
		j.End(0)
	}
}
