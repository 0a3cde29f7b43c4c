package page

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeSource is a source that a test sets.
type fakeSource struct {
	mu  sync.Mutex
	s   Snapshot
	err error
}

func (p *fakeSource) Snapshot(context.Context) (Snapshot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.s
	s.At = time.Now()
	return s, p.err
}

func (p *fakeSource) set(s Snapshot, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.s, p.err = s, err
}

const hostile = `<script>alert("x")</script>'&`

func somePools() Snapshot {
	return Snapshot{
		Pools: []Pool{
			{
				Namespace: "shop", Name: "resize", Functions: []string{"resize", hostile}, Queued: 12, Running: 3,
				WaitSeconds: 4.2, TargetSeconds: 30,
				Replicas: 3, Desired: 4, Ready: 3, Max: 10, Reason: "TargetWait",
				Message:  "queued jobs would start later than the target wait",
				Workers:  []Worker{{Name: "resize-abcde", State: "busy", Busy: 1, Capacity: 1}},
				Problems: []string{"Job server " + hostile + " does not answer."},
				Terms:    map[string]int64{"queued": 12},
			},
			{Namespace: "shop", Name: "mail", Functions: []string{"mail"}, Reason: "Steady"},
		},
		Servers:   []Server{{Address: "10.0.0.1:4730", State: "Refused"}},
		Functions: []Function{{Name: "orphan", Queued: 5}, {Name: "resize", Queued: 12, Workers: 3}},
	}
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "localhost:1"
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// Readers are notified even if only the queue of a function has changed, as on a page about job
// servers alone.
func TestFunctionsAreLive(t *testing.T) {
	t.Parallel()
	source := &fakeSource{s: Snapshot{Functions: []Function{{Name: "resize", Queued: 1}}}}
	h := New(source, Options{})
	told := func() bool {
		_, changed, _ := h.now()
		h.Refresh(t.Context())
		select {
		case <-changed:
			return true
		default:
			return false
		}
	}
	if !told() {
		t.Error("the first figures are no change")
	}
	if told() {
		t.Error("the same figures are a change")
	}
	source.set(Snapshot{Functions: []Function{{Name: "resize", Queued: 2}}}, nil)
	if !told() {
		t.Error("another queue is no change")
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	source := &fakeSource{s: somePools()}
	h := New(source, Options{})
	h.Refresh(t.Context())
	for path, want := range map[string][]string{
		"/":           {"shop/resize", "shop/mail", "does not answer", "orphan", "4.2s", "TargetWait"},
		"/?q=mail":    {"shop/mail"},
		"/?q=nothing": {"No pools match nothing"},
		"/?sort=name": {`<option value="name" selected>`},
		"/pools/shop/resize": {
			"resize-abcde", "1 of 1", "target 30s", "3 <small>of 4 wanted", "queued jobs would start later",
		},
		"/servers":              {"10.0.0.1:4730", "Refused", "never"},
		"/functions":            {"orphan", "jobs wait and nobody can run them", `href="./pools/shop/resize"`},
		"/try":                  {"read-only", "--ui-actions"},
		"/static/page.css":      {"prefers-color-scheme"},
		"/static/page.js":       {"EventSource"},
		"/history/shop/mail":    {`"queued":[0]`},
		"/static/uplot/LICENSE": {"MIT"},
	} {
		code, body := get(t, h, path)
		if code != http.StatusOK {
			t.Errorf("%s: %d", path, code)
		}
		for _, text := range want {
			if !strings.Contains(body, text) {
				t.Errorf("%s: %q is not in\n%s", path, text, body)
			}
		}
		if strings.Contains(body, "<script>") || strings.Contains(body, "alert(\"x\")") {
			t.Errorf("%s: the hostile name is no text:\n%s", path, body)
		}
	}
	if _, body := get(t, h, "/?q=mail"); strings.Contains(body, `id="pool-shop-resize"`) {
		t.Error("the filter lets other pools through")
	}
	for _, path := range []string{"/pools/shop/nobody", "/history/shop/nobody", "/nowhere"} {
		if code, _ := get(t, h, path); code != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, code)
		}
	}
}

func TestGuard(t *testing.T) {
	t.Parallel()
	h := New(&fakeSource{}, Options{Hosts: []string{"pools.example.com"}})
	for host, want := range map[string]int{
		"localhost": 200, "127.0.0.1:8730": 200, "[::1]:8730": 200, "pools.example.com": 200,
		"evil.example.com:8730": 421, "": 421,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %q: %d, want %d", host, w.Code, want)
		}
		if policy := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") ||
			strings.Contains(policy, "unsafe") {
			t.Errorf("host %q: the policy is %q", host, policy)
		}
	}
}

func post(h http.Handler, form url.Values, headers map[string]string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/try", strings.NewReader(form.Encode()))
	r.Host = "localhost:1"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	h.ServeHTTP(w, r)
	return w
}

func TestTry(t *testing.T) {
	t.Parallel()
	ran := 0
	h := New(&fakeSource{
		s: somePools(),
	}, Options{Submit: func(_ context.Context, function string, workload []byte) ([]byte, error) {
		ran++
		if function == "bad" {
			return nil, errors.New("it broke: " + hostile)
		}
		return append([]byte("done \xff "+hostile), workload...), nil
	}})
	h.Refresh(t.Context())
	yes := url.Values{"function": {"resize"}, "workload": {"hello"}, "confirm": {"yes"}}
	with := func(name, value string) url.Values {
		form := url.Values{}
		maps.Copy(form, yes)
		form.Set(name, value)
		return form
	}
	for name, tt := range map[string]struct {
		form    url.Values
		headers map[string]string
		code    int
		want    string
		runs    bool
	}{
		"a job":          {yes, nil, 200, "hello</pre>", true},
		"its own page":   {yes, map[string]string{"Sec-Fetch-Site": "same-origin"}, 200, "done", true},
		"a failing job":  {with("function", "bad"), nil, 502, "The job failed: it broke", true},
		"not confirmed":  {with("confirm", ""), nil, 400, "confirm that real workers", false},
		"no function":    {with("function", ""), nil, 400, "Name a function", false},
		"a foreign page": {yes, map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, "", false},
		"too much":       {with("workload", strings.Repeat("x", maxForm+1)), nil, 400, "can&#39;t be read", false},
	} {
		before := ran
		w := post(h, tt.form, tt.headers)
		if w.Code != tt.code || tt.want != "" &&
			!strings.Contains(w.Body.String(), strings.ReplaceAll(tt.want, "&#39;", "'")) {
			t.Errorf("%s: %d, want %d with %q:\n%s", name, w.Code, tt.code, tt.want, w.Body)
		}
		if strings.Contains(w.Body.String(), "<script>") {
			t.Errorf("%s: the hostile text is no text", name)
		}
		if (ran > before) != tt.runs {
			t.Errorf("%s: the job ran: %v, want %v", name, ran > before, tt.runs)
		}
	}
	if w := post(New(&fakeSource{}, Options{}), yes, nil); w.Code != http.StatusForbidden ||
		!strings.Contains(w.Body.String(), "read-only") {
		t.Errorf("a read-only page takes the form: %d", w.Code)
	}
}

// A reader is notified of a change within two seconds, and of nothing if nothing changes.
func TestEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{s: somePools()}
		h := New(source, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { h.Run(ctx) })
		synctest.Wait()
		in, out := io.Pipe()
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/events", nil)
		r.Host = "localhost"
		wg.Go(func() {
			h.ServeHTTP(&streamed{out: out, header: http.Header{}}, r)
			_ = out.Close()
		})
		lines := make(chan string, 100)
		wg.Go(func() {
			for scanner := bufio.NewScanner(in); scanner.Scan(); {
				lines <- scanner.Text()
			}
		})
		drain := func() (heard bool) {
			synctest.Wait()
			for {
				select {
				case line := <-lines:
					heard = heard || line == "event: change"
				default:
					return heard
				}
			}
		}
		time.Sleep(5 * time.Second)
		if drain() {
			t.Error("a change is reported though nothing changed")
		}
		s := somePools()
		s.Pools[0].Queued++
		source.set(s, nil)
		time.Sleep(2 * time.Second)
		if !drain() {
			t.Error("the change is not reported")
		}
		source.set(Snapshot{}, errors.New("gone"))
		time.Sleep(2 * time.Second)
		if !drain() {
			t.Error("the outage is not reported")
		}
		if _, body := get(t, h, "/"); !strings.Contains(body, "gone") || !strings.Contains(body, "shop/resize") {
			t.Error("the outage and the last figures are not shown")
		}
		cancel()
		wg.Wait()
	})
}

// streamed is a response that is read while it is written.
type streamed struct {
	out    io.Writer
	header http.Header
}

func (s *streamed) Header() http.Header         { return s.header }
func (s *streamed) WriteHeader(int)             {}
func (s *streamed) Write(p []byte) (int, error) { return s.out.Write(p) }
func (s *streamed) Flush()                      {}

func TestHistory(t *testing.T) {
	t.Parallel()
	h := history{pools: map[string]*series{}}
	at := time.Unix(1_000_000, 0)
	for i := range historyPoints + 10 {
		s := Snapshot{
			At:    at.Add(time.Duration(i) * historyEvery),
			Pools: []Pool{{Namespace: "n", Name: "p", Queued: int64(i % 7), Completed: int64(20 * i)}},
		}
		h.add(&s)
		s.At = s.At.Add(time.Second)
		h.add(&s) // too soon
	}
	got, ok := h.of("n/p")
	if !ok || len(got.At) != historyPoints || got.At[1]-got.At[0] != 10 || got.CompletedRate[5] != 2 {
		t.Errorf("history = %d points, %v", len(got.At), got.CompletedRate)
	}
	if points, most := h.spark("n/p"); most != 6 || strings.Count(points, ",") != sparkPoints {
		t.Errorf("spark = %s, at most %v", points, most)
	}
	h.add(&Snapshot{At: at.Add(24 * time.Hour)})
	if _, ok := h.of("n/p"); ok {
		t.Error("a pool that is gone is remembered")
	}
}

// BenchmarkOverview renders the overview of 10,000 pools.
func BenchmarkOverview(b *testing.B) {
	h := New(manyPools(10_000), Options{})
	h.Refresh(b.Context())
	for b.Loop() {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/?sort=queued", nil)
		r.Host = "localhost"
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}

func manyPools(n int) *fakeSource {
	source := &fakeSource{}
	for i := range n {
		source.s.Pools = append(source.s.Pools, Pool{
			Namespace: fmt.Sprintf("team-%d", i%100), Name: fmt.Sprintf("pool-%d", i),
			Functions: []string{fmt.Sprintf("f-%d", i)}, Queued: int64(i), Reason: "Steady",
		})
	}
	return source
}
