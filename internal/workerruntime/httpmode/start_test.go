package httpmode

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
)

// A service that takes no connection has seen nothing of the job, which so has not failed; the
// message says what kind of trouble it is.
func TestServiceThatTakesNoConnection(t *testing.T) {
	t.Parallel()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	for name, tc := range map[string]struct{ url, message string }{
		"refused":      {"http://127.0.0.1:1", "connection refused"},
		"no such name": {"http://no-such-host.invalid", "no-such-host.invalid"},
		"a strange CA": {secure.URL, "certificate"},
		"no socket":    {"unix:///no/such.sock", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := testOptions(t, tc.url)
			h := startHandler(t, opts)
			started := false
			o := h.Handle(t.Context(), &job.Job{Reporter: &recorder{}, Started: func() { started = true }})
			if o.Kind != job.Requeued || o.Reason != job.Unreachable || !o.NeverRan || started ||
				!strings.Contains(o.Message, tc.message) {
				t.Errorf("outcome %+v, started %v", o, started)
			}
			if err := h.Check(t.Context()); err == nil || !strings.Contains(err.Error(), tc.message) {
				t.Errorf("check: %v", err)
			}
		})
	}
}

// Check sees a service that has come up.
func TestServiceThatComesUp(t *testing.T) {
	t.Parallel()
	addr, err := jobserver.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	h := startHandler(t, testOptions(t, "http://"+addr))
	if ok, why := h.Ready(); ok || why == "" {
		t.Error("ready without a service")
	}
	if err := h.Check(t.Context()); err == nil {
		t.Error("the check passes without a service")
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }),
	)
	s.Listener = l
	s.Start()
	defer s.Close()
	<-h.Up()
	if err := h.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	if o := post(t.Context(), h, "x", &recorder{}); o.Kind != job.Completed {
		t.Errorf("outcome %+v", o)
	}
}

// A job that a busy service does not take goes back when the worker drains, and after a while in
// any case.
func TestBusyServiceGetsTheJobNoMore(t *testing.T) {
	t.Parallel()
	busy := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	t.Run("drain", func(t *testing.T) {
		t.Parallel()
		draining := make(chan struct{})
		time.AfterFunc(20*time.Millisecond, func() { close(draining) })
		o := startHandler(t, testOptions(t, busy.URL)).Handle(
			t.Context(), &job.Job{Reporter: &recorder{}, Draining: draining},
		)
		if o.Kind != job.Requeued || o.Reason != job.Interrupting || !o.NeverRan {
			t.Errorf("outcome %+v", o)
		}
	})
	t.Run("long", func(t *testing.T) {
		t.Parallel()
		opts := testOptions(t, busy.URL)
		opts.HoldBusy = 50 * time.Millisecond
		o := startHandler(t, opts).Handle(t.Context(), &job.Job{Reporter: &recorder{}})
		if o.Kind != job.Requeued || o.Reason != job.Busy || !o.NeverRan || !strings.Contains(o.Message, "503") {
			t.Errorf("outcome %+v", o)
		}
	})
}

// rawService accepts connections and answers requests by number: the first request of a connection
// is number 1.
func rawService(t *testing.T, answer func(c net.Conn, conn, request int)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				br := bufio.NewReader(c)
				for request := 1; ; request++ {
					req, err := http.ReadRequest(br)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, req.Body)
					answer(c, n, request)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// A kept connection that ends as the request arrives says nothing about the job, which goes over a
// new one, once.
func TestKeptConnectionThatEnds(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	for name, tc := range map[string]struct {
		answer func(c net.Conn, conn, request int)
		kind   job.Kind
	}{
		"before the answer": {func(c net.Conn, _, request int) {
			if request > 1 {
				c.Close()
				return
			}
			_, _ = io.WriteString(c, ok)
		}, job.Completed},
		"within the answer": {func(c net.Conn, _, request int) {
			if request > 1 {
				_, _ = io.WriteString(c, "HTTP/1.1 200")
				c.Close()
				return
			}
			_, _ = io.WriteString(c, ok)
		}, job.Failed},
		"on the new one, too": {func(c net.Conn, _, request int) {
			_, _ = io.WriteString(c, ok)
			if request > 1 {
				c.Close()
			}
		}, job.Completed},
		"a first connection": {func(c net.Conn, _, _ int) { c.Close() }, job.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, err := New(testOptions(t, rawService(t, tc.answer)))
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				for _, c := range h.idle {
					c.Close()
				}
			}()
			first := h.Handle(context.Background(), &job.Job{Reporter: &recorder{}})
			if name == "a first connection" {
				if first.Kind != tc.kind {
					t.Errorf("outcome %+v", first)
				}
				return
			}
			if first.Kind != job.Completed {
				t.Fatalf("the first job: %+v", first)
			}
			if o := h.Handle(context.Background(), &job.Job{Reporter: &recorder{}}); o.Kind != tc.kind {
				t.Errorf("the second job: %+v", o)
			}
		})
	}
}

func TestPermanentAnswers(t *testing.T) {
	t.Parallel()
	for code, permanent := range map[int]bool{400: true, 404: true, 408: false, 413: true, 422: true, 425: false} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
		if o := post(t.Context(), startHandler(t, testOptions(t, s.URL)), "x", &recorder{}); o.Kind != job.Failed ||
			o.Permanent != permanent {
			t.Errorf("%d: outcome %+v", code, o)
		}
	}
}
