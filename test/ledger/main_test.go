package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestLedgerKeepsEachLine(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&ledger{})
	defer server.Close()
	post := func(body string) int {
		r, err := http.Post(server.URL, "text/plain", strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0
		}
		defer r.Body.Close()
		return r.StatusCode
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got := post("start a\n"); got != http.StatusNoContent {
				t.Errorf("got status %d, want 204", got)
			}
		})
	}
	wg.Wait()
	for _, bad := range []string{"", "\n", "a\nb", strings.Repeat("x", maxLine+1)} {
		if got := post(bad); got != http.StatusBadRequest {
			t.Errorf("a body of %d bytes got status %d, want 400", len(bad), got)
		}
	}
	r, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^(\d{13} start a\n){20}$`).Match(body) {
		t.Errorf("got %q, want 20 lines", body)
	}
}

func TestNote(t *testing.T) {
	t.Parallel()
	l := &ledger{}
	server := httptest.NewServer(l)
	defer server.Close()
	if err := note(server.URL, "start a p H:1"); err != nil {
		t.Fatal(err)
	}
	if len(l.lines) != 1 || !strings.HasSuffix(l.lines[0], " start a p H:1") {
		t.Errorf("got %q, want the line", l.lines)
	}
	if err := note(server.URL, ""); err == nil || !strings.Contains(err.Error(), "want one line") {
		t.Errorf("got %v, want the ledger's complaint", err)
	}
}

// TestNoteAgain: a line whose first connections fail is still written.
func TestNoteAgain(t *testing.T) {
	t.Parallel()
	l := &ledger{}
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) <= 2 {
			panic(http.ErrAbortHandler) // no answer
		}
		l.ServeHTTP(w, r)
	}))
	defer server.Close()
	if err := note(server.URL, "start a p H:1"); err != nil || len(l.lines) != 1 {
		t.Errorf("%v, %q", err, l.lines)
	}
}
