package httpmode

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/logs"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type recorder struct {
	mu  sync.Mutex
	got []string
}

func (r *recorder) add(format string, args ...any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, fmt.Sprintf(format, args...))
	return nil
}
func (r *recorder) Status(n, d uint64) error { return r.add("status %d/%d", n, d) }
func (r *recorder) Data(p []byte) error      { return r.add("data %s", p) }
func (r *recorder) Warning(p []byte) error   { return r.add("warning %s", p) }

func testOptions(t testing.TB, url string) Options {
	t.Helper()
	return Options{
		URL: url, Size: 4, Result: spool.Limits{Dir: t.TempDir(), Above: 1 << 20, Max: 4 << 20},
		Log: slog.New(slog.DiscardHandler), LogLimit: logs.NewLimit(0, 0, time.Now), Backoff: time.Millisecond,
		MaxBackoff: 10 * time.Millisecond,
	}
}

func startHandler(t testing.TB, opts Options) *Handler {
	t.Helper()
	h, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return h
}

func serve(t testing.TB, f http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s
}

func post(ctx context.Context, h *Handler, workload string, r job.Reporter) job.Outcome {
	return h.Handle(
		ctx,
		&job.Job{
			Function: "f", Handle: "H:test:1", Unique: "50% ü\r\nX: y", Body: []byte(workload),
			Size: int64(len(workload)), Reporter: r,
		},
	)
}

func resultOf(t testing.TB, o job.Outcome) string {
	t.Helper()
	if o.ResultFile == nil {
		return string(o.Result)
	}
	defer o.ResultFile.Close()
	b, err := io.ReadAll(io.NewSectionReader(o.ResultFile, 0, o.ResultSize))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func hijack(w http.ResponseWriter) net.Conn {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	return c
}

func TestHandle(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("abcdefgh", 300<<10/8)
	type end struct {
		Kind     job.Kind
		Reason   job.Reason
		Result   string
		Message  string
		Progress []string
	}
	echo := func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, body, code) }
	}
	frames := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", FramesType+"; v=1")
			for part := range strings.SplitSeq(text, "|") {
				_, _ = io.WriteString(w, part)
				w.(http.Flusher).Flush()
			}
		}
	}
	times := func(n int32, first, then http.HandlerFunc) http.HandlerFunc {
		var seen atomic.Int32
		return func(w http.ResponseWriter, r *http.Request) {
			if seen.Add(1) <= n {
				first(w, r)
				return
			}
			then(w, r)
		}
	}
	ok := func(result string) end { return end{Reason: job.OK, Result: result} }
	tests := map[string]struct {
		serve    http.HandlerFunc
		workload string
		change   func(*Options)
		want     end
	}{
		"a job":        {serve: echo, workload: "hello\x00", want: ok("hello\x00")},
		"an empty job": {serve: echo, want: ok("")},
		"a large job":  {serve: echo, workload: big, want: ok(big)},
		"a large result goes to a file": {
			serve: echo, workload: big, change: func(o *Options) { o.Result.Above = 100 }, want: ok(big),
		},
		"no content": {
			serve: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, want: ok(""),
		},
		"what the service is told": {
			serve: func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(
					w, r.Method, " ", r.RequestURI, " ", r.Header.Get("Content-Type"), " ",
					r.Header["Gearman-Function"], r.Header["Gearman-Handle"], r.Header["Gearman-Unique"],
					r.Header["X-Key"], r.Header["X"], " ", r.Host, r.Header["Authorization"], r.Header["User-Agent"],
					r.Header["Accept-Encoding"], r.Header["Gearman-Attempt"],
				)
			},
			workload: "x", change: func(o *Options) {
				o.URL = strings.Replace(o.URL, "//", "//me:pass@", 1) + "/a%20b?c=d"
				o.Headers = []string{"X-Key: k 1", "content-type:application/json", "host: example.com"}
			},
			want: ok("POST /a%20b?c=d application/json [f] [H:test:1] [50%25%20%C3%BC%0D%0AX:%20y] [k 1] [] " +
				"example.com[Basic bWU6cGFzcw==] [gearman-worker] [] []"),
		},
		"4xx fails the job": {
			serve: status(422, "no image"),
			want: end{
				Kind: job.Failed, Reason: job.Rejected,
				Message: "the HTTP service answers 422 Unprocessable Entity: no image",
			},
		},
		"413 before the body is read": {
			serve: status(413, ""), workload: strings.Repeat(big, 8),
			want: end{
				Kind: job.Failed, Reason: job.Rejected,
				Message: "the HTTP service answers 413 Request Entity Too Large",
			},
		},
		"5xx is a crash": {
			serve: status(500, "oops"),
			want: end{
				Kind: job.Failed, Reason: job.Crashed,
				Message: "the HTTP service answers 500 Internal Server Error: oops",
			},
		},
		"3xx is not followed": {
			serve: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/else", http.StatusFound) },
			want: end{
				Kind: job.Failed, Reason: job.Rejected,
				Message: "the HTTP service answers 302 Found, and redirects are not followed: give the final URL",
			},
		},
		"503 is tried again": {serve: times(3, status(503, ""), echo), workload: "x", want: ok("x")},
		"429 is tried again": {serve: times(3, status(429, ""), echo), workload: big, want: ok(big)},
		"an interim answer": {
			serve:    func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusEarlyHints); echo(w, r) },
			workload: "x", want: ok("x"),
		},
		"a chunked answer": {serve: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "b")
		}, want: ok("ab")},
		"a broken connection": {
			serve: func(w http.ResponseWriter, _ *http.Request) { hijack(w).Close() },
			want:  end{Kind: job.Failed, Reason: job.Crashed, Message: "*read the answer: "},
		},
		"garbage": {
			serve: func(w http.ResponseWriter, _ *http.Request) {
				c := hijack(w)
				_, _ = io.WriteString(c, "hello\r\n\r\n")
				c.Close()
			},
			want: end{Kind: job.Failed, Reason: job.Crashed, Message: `*read the answer: malformed HTTP response "hello"`},
		},
		"half an answer": {
			serve: func(w http.ResponseWriter, _ *http.Request) {
				c := hijack(w)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
				c.Close()
			},
			want: end{Kind: job.Failed, Reason: job.Crashed, Message: "read the answer: unexpected EOF"},
		},
		"a result larger than the limit": {
			serve: echo, workload: big, change: func(o *Options) { o.Result.Max = 10 },
			want: end{
				Kind: job.Failed, Reason: job.OutputLimit,
				Message: "*result is larger than the limit of 10 bytes (--max-result)",
			},
		},
		"endless output": {serve: func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, big)
			}
		}, want: end{
			Kind: job.Failed, Reason: job.OutputLimit, Message: "*result is larger than the limit of 4194304 bytes",
		}},
		"a full spool": {
			serve: echo, workload: big, change: func(o *Options) { o.Result.Above = 10; o.Result.Dir = "/proc/self" },
			want: end{Kind: job.Failed, Reason: job.SpoolFailed, Message: "*spool: "},
		},
		"progress": {
			serve: frames(`{"type":"status","numerator":1,"denominator":3}` + "\n|" + `{"type":"data","bytes":4}` + "\npa|rt" + `{"type":"complete","bytes":4}` + "\ndone"),
			want:  end{Reason: job.OK, Result: "done", Progress: []string{"status 1/3", "data part"}},
		},
		"a failure in messages":   {serve: frames(`{"type":"fail","bytes":3}` + "\nbad"), want: end{Kind: job.Failed, Reason: job.Rejected, Message: "bad"}},
		"messages without an end": {serve: frames(`{"type":"status","numerator":1,"denominator":3}` + "\n"), want: end{Kind: job.Failed, Reason: job.Crashed, Message: "the handler ended before its answer was complete", Progress: []string{"status 1/3"}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := testOptions(t, serve(t, tc.serve).URL)
			if tc.change != nil {
				tc.change(&opts)
			}
			var rec recorder
			o := post(t.Context(), startHandler(t, opts), tc.workload, &rec)
			got := end{Kind: o.Kind, Reason: o.Reason, Result: resultOf(t, o), Message: o.Message, Progress: rec.got}
			if part, ok := strings.CutPrefix(tc.want.Message, "*"); ok && strings.Contains(got.Message, part) {
				got.Message = tc.want.Message
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }),
	)
	var opened atomic.Int32
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	h := startHandler(t, testOptions(t, s.URL))
	<-h.Up()
	for range 20 {
		if o := post(t.Context(), h, "x", &recorder{}); o.Kind != job.Completed {
			t.Fatalf("outcome %+v", o)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for 20 jobs", n)
	}
	s.CloseClientConnections() // like a service whose keep-alive time is over
	if o := post(t.Context(), h, "x", &recorder{}); o.Kind != job.Completed {
		t.Errorf("after the service closed the connection: %+v", o)
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host, r.RequestURI) }),
	)
	s.Listener = l
	s.Start()
	defer s.Close()
	for url, want := range map[string]string{
		"unix://" + path: "localhost/", "unix://" + path + ":/jobs?a=b": "localhost/jobs?a=b",
	} {
		if o := post(t.Context(), startHandler(t, testOptions(t, url)), "", &recorder{}); string(o.Result) != want {
			t.Errorf("%s: %+v", url, o)
		}
	}
}

func TestHTTPS(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }),
	)
	defer s.Close()
	h, err := New(testOptions(t, s.URL))
	if err != nil {
		t.Fatal(err)
	}
	h.target.tls.RootCAs = s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	h.target.tls.ServerName = "example.com"
	for range 2 {
		if o := post(t.Context(), h, "x", &recorder{}); string(o.Result) != "x" {
			t.Errorf("outcome %+v", o)
		}
	}
	for _, c := range h.idle {
		c.Close()
	}
}

func TestInterrupt(t *testing.T) {
	release := make(chan struct{})
	slow := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	busy := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	for name, tc := range map[string]struct {
		url     string
		cause   error
		kind    job.Kind
		message string
	}{
		"a timeout": {slow.URL, job.ErrTimeout, job.Failed, "job timeout exceeded"},
		"a stop":    {slow.URL, job.ErrStopped, job.Requeued, "worker is stopping"},
		"a timeout while held": {
			busy.URL, job.ErrTimeout, job.Failed,
			"job timeout exceeded: the HTTP service answers 503 Service Unavailable",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := startHandler(t, testOptions(t, tc.url))
			ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, tc.cause)
			defer cancel()
			if o := post(ctx, h, "x", &recorder{}); o.Kind != tc.kind || !strings.HasPrefix(o.Message, tc.message) {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "127.0.0.1:80", "ftp://h/", "http://", "http:///path", "unix://", "unix://host/sock", "unix:///s:path",
		"http://h:x/", "http://%zz/",
	} {
		if _, err := New(testOptions(t, url)); err == nil {
			t.Errorf("URL %q is accepted", url)
		}
	}
	for _, header := range []string{
		"X: a\r\nY: b", "X: a\x00", "X", ": x", "a b: c", "Content-Length: 3", "transfer-encoding: chunked",
	} {
		opts := testOptions(t, "http://h/")
		opts.Headers = []string{header}
		if _, err := New(opts); err == nil {
			t.Errorf("header %q is accepted", header)
		}
	}
}

// BenchmarkEcho measures a small job over the handler's own connections, and the same request with
// net/http's client.
func BenchmarkEcho(b *testing.B) {
	s := serve(b, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	body := make([]byte, 100)
	b.Run("own", func(b *testing.B) {
		h := startHandler(b, testOptions(b, s.URL))
		<-h.Up()
		for b.Loop() {
			if o := h.Handle(
				b.Context(), &job.Job{Function: "f", Handle: "H:x:1", Body: body, Size: 100, Reporter: &recorder{}},
			); o.Kind != job.Completed {
				b.Fatalf("outcome %+v", o)
			}
		}
	})
	b.Run("net/http", func(b *testing.B) {
		transport := &http.Transport{MaxIdleConnsPerHost: 4}
		defer transport.CloseIdleConnections()
		client := http.Client{Transport: transport}
		for b.Loop() {
			if got := echoed(b, &client, s.URL, body); !bytes.Equal(got, body) {
				b.Fatalf("the service answers %q", got)
			}
		}
	})
}

// echoed posts a job's body with net/http, with the headers that the handler sends.
func echoed(b *testing.B, client *http.Client, url string, body []byte) []byte {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Gearman-Function", "f")
	r.Header.Set("Gearman-Handle", "H:x:1")
	answer, err := client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		b.Fatal(err)
	}
	return got
}
