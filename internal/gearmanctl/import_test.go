package gearmanctl

import (
	"bytes"
	"strings"
	"testing"
)

// The importer is mounted, and an error about a hostile file can't drive the terminal.
func TestImport(t *testing.T) {
	t.Parallel()
	config := "[program:mailer]\ncommand=/usr/bin/gearman -w -f mail -- /app/mail\n"
	var out, errs bytes.Buffer
	status := Main(
		[]string{"import", "-", "--server", "jobs:4730", "--image", "example.com/mailer"}, strings.NewReader(config),
		&out, &errs,
	)
	if status != 0 || !strings.Contains(out.String(), "kind: GearmanWorkerPool") {
		t.Errorf("exit status %d, %s%s", status, out.String(), errs.String())
	}
	errs.Reset()
	status = Main([]string{"import", "\x1b[31mnone"}, strings.NewReader(""), &out, &errs)
	if status != 1 || strings.Contains(errs.String(), "\x1b") || !strings.Contains(errs.String(), "none") {
		t.Errorf("exit status %d, %q", status, errs.String())
	}
}
