package httpmode

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
)

// TestServiceThatTakesNoConnection: a service that accepts no connection has seen nothing of the
// job, so the job has not failed. The message says what the trouble is.
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

// TestServiceThatComesUp: Check notices a service that has come up.
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

// TestBusyServiceGetsTheJobNoMore: a job that a busy service does not accept is requeued when the
// worker drains, and after a while in any case.
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

// listen serves each connection with a function, and closes it then.
func listen(t *testing.T, serve func(net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// rawService answers requests by number: the first request of a connection is number 1.
func rawService(t *testing.T, answer func(c net.Conn, request int)) (url string) {
	t.Helper()
	return listen(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		for request := 1; ; request++ {
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			answer(c, request)
		}
	})
}

// TestKeptConnectionThatEnds: a kept connection that ends as the request arrives shows nothing
// about the job, which is sent over a new one, once. Any other end counts: the job may have run.
func TestKeptConnectionThatEnds(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	for name, tc := range map[string]struct {
		second, later string // answers to the second request of a connection, and to the third of all
		kind          job.Kind
		sent          int32 // how often the second job was sent
	}{
		"before the answer":   {"", ok, job.Completed, 2},
		"within the answer":   {"HTTP/1.1 200", ok, job.Failed, 1},
		"on the new one, too": {"", "", job.Failed, 2},
		"after the answer":    {ok, "", job.Completed, 1},
	} {
		for _, body := range []string{"", "workload", strings.Repeat("large", 100<<10)} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, len(body)), func(t *testing.T) {
				t.Parallel()
				var requests atomic.Int32
				h := startHandler(t, testOptions(t, rawService(t, func(c net.Conn, request int) {
					answer := ok
					switch n := requests.Add(1); {
					case n > 2:
						answer = tc.later
					case request == 2:
						answer = tc.second
					}
					_, _ = io.WriteString(c, answer)
					if answer != ok {
						c.Close()
					}
				})))
				<-h.Up()
				if o := post(t.Context(), h, body, &recorder{}); o.Kind != job.Completed {
					t.Fatalf("the first job: %+v", o)
				}
				o := post(t.Context(), h, body, &recorder{})
				if sent := requests.Load() - 1; o.Kind != tc.kind || sent != tc.sent {
					t.Errorf("the second job: %+v; sent %d times", o, sent)
				}
			})
		}
	}
}

// TestKeptConnectionsThatEnd: a service that ends each of several kept connections without an
// answer gets the job twice, not once for each connection.
func TestKeptConnectionsThatEnd(t *testing.T) {
	t.Parallel()
	const jobs = 4
	var all sync.WaitGroup
	all.Add(jobs)
	var requests atomic.Int32
	h := startHandler(t, testOptions(t, rawService(t, func(c net.Conn, _ int) {
		if requests.Add(1) > jobs {
			c.Close()
			return
		}
		all.Done()
		all.Wait() // each job has a connection of its own
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})))
	<-h.Up()
	var ended sync.WaitGroup
	for range jobs {
		ended.Go(func() {
			if o := post(t.Context(), h, "x", &recorder{}); o.Kind != job.Completed {
				t.Errorf("outcome %+v", o)
			}
		})
	}
	ended.Wait()
	if o := post(t.Context(), h, "x", &recorder{}); o.Kind != job.Failed || requests.Load() != jobs+2 {
		t.Errorf("outcome %+v; sent %d times", o, requests.Load()-jobs)
	}
}

// TestFirstConnectionThatEnds: the end of a first connection counts as the service's crash.
func TestFirstConnectionThatEnds(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	h, err := New(testOptions(t, rawService(t, func(c net.Conn, _ int) {
		requests.Add(1)
		c.Close()
	})))
	if err != nil {
		t.Fatal(err)
	}
	if o := post(t.Context(), h, "x", &recorder{}); o.Reason != job.Crashed || requests.Load() != 1 ||
		!strings.Contains(o.Message, "the connection ended before the answer") {
		t.Errorf("outcome %+v; sent %d times", o, requests.Load())
	}
}

// TestAnswerWithoutReading: a service's answer counts even if it has not read the job and has
// closed the connection, so that the rest of the job can't be written. Nothing reads the job's
// buffer after that: otherwise the race detector would report the test's write into it.
func TestAnswerWithoutReading(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"without a body": "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n",
		"with a body":    "HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge",
		"to the end":     "HTTP/1.1 413 Too Large\r\n\r\nlarge",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startHandler(t, testOptions(t, listen(t, func(c net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.WriteString(c, answer)
				}
			})))
			body := make([]byte, 16<<20)
			o := h.Handle(t.Context(), &job.Job{Body: body, Size: int64(len(body)), Reporter: &recorder{}})
			clear(body)
			if o.Reason != job.Rejected || !strings.HasPrefix(o.Message, "the HTTP service answers 413 Too Large") {
				t.Errorf("outcome %+v", o)
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
