package workerruntime_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

// TestLogOfManyFailures: ten thousand quick failures, each with a line on standard error, leave a
// readable log.
func TestLogOfManyFailures(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		http.Error(w, "no such image", http.StatusNotFound)
	}))
	defer service.Close()
	w := startWorker(
		t, nil, "http", "--server", server.Addr, "--function", "f", "--failing-after", "0", "--concurrency", "8", "--",
		service.URL,
	).waitReady()
	const jobs = 10_000
	s := newSubmitter(t, server.Addr)
	for range jobs {
		s.background("f", "")
	}
	began := time.Now()
	kit.Eventually(t, "all jobs have failed", func() bool {
		_, m := w.get("/metrics")
		return strings.Contains(m, fmt.Sprintf(`gearman_worker_jobs_total{function="f",result="failed",reason="rejected"} %d`, jobs))
	})
	kit.Eventually(t, "the log tells of the first 50", func() bool { return w.log.lines() >= 50 })
	// 50 at once, 10 a second, as many again to report what was left out; and a few of the start.
	if n, most := w.log.lines(), 130+20*int(time.Since(began).Seconds()+60); n > most {
		t.Errorf("%d log lines for %d failures, at most %d wanted", n, jobs, most)
	}
}

// TestLogOfChattyCommand: not all lines of a chatty command are logged; the others are counted.
func TestLogOfChattyCommand(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	w := startWorker(
		t, nil, "exec", "--server", server.Addr, "--function", "f", "--failing-after", "0", "--log-rate", "10", "--",
		"sh", "-c", "seq 20000 >&2",
	).waitReady()
	s := newSubmitter(t, server.Addr)
	for range 2 {
		if a, err := s.do("f", ""); a.End != complete {
			t.Fatalf("%+v, %v", a, err)
		}
	}
	kit.Eventually(t, "the log says that lines were left out", func() bool {
		return strings.Contains(w.log.String(), "Left out log lines") && w.log.lines() >= 100
	})
	if n := w.log.lines(); n > 2000 {
		t.Errorf("%d log lines of 40,000", n)
	}
}
