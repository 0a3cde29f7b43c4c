package page

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// Source provides the page's figures. It may be called from several goroutines.
type Source interface {
	Snapshot(ctx context.Context) (Snapshot, error)
}

// Options configure a [Handler].
type Options struct {
	// Submit runs a job and returns its result. Nil: the page is read-only.
	Submit func(ctx context.Context, function string, workload []byte) ([]byte, error)
	// Hosts are further host names of the page, besides localhost and IP addresses. Requests for
	// others are rejected, so that no foreign page can reach this one via a name of its own.
	Hosts []string
}

// Handler serves the page.
type Handler struct {
	source  Source
	o       Options
	handler http.Handler
	history history

	mu      sync.Mutex
	last    Snapshot
	err     error
	changed chan struct{} // closed at the next change
}

const (
	// watchEvery is how often the source is read.
	watchEvery = time.Second
	// submitTimeout is how long a job of the form may take.
	submitTimeout = 30 * time.Second
	maxForm       = 256 << 10
)

// New returns a handler, which shows nothing before Run.
func New(source Source, o Options) *Handler {
	h := &Handler{source: source, o: o, changed: make(chan struct{}), history: history{pools: map[string]*series{}}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.overview)
	mux.HandleFunc("GET /pools/{namespace}/{name}", h.pool)
	mux.HandleFunc("GET /history/{namespace}/{name}", h.serveHistory)
	mux.HandleFunc("GET /servers", h.servers)
	mux.HandleFunc("GET /functions", h.functions)
	mux.HandleFunc("GET /try", h.try)
	mux.HandleFunc("POST /try", h.try)
	mux.HandleFunc("GET /events", h.events)
	mux.Handle("GET /static/", http.FileServerFS(static))
	h.handler = h.guard(http.NewCrossOriginProtection().Handler(mux))
	return h
}

//go:embed static
var static embed.FS

//go:embed templates
var templates embed.FS

// pages are the parsed templates by name.
var pages = func() map[string]*template.Template {
	functions := template.FuncMap{"seconds": seconds, "age": age}
	all := map[string]*template.Template{}
	for _, name := range []string{"overview", "pool", "servers", "functions", "try"} {
		all[name] = template.Must(
			template.New(name).Funcs(functions).ParseFS(templates, "templates/layout.html", "templates/"+name+".html"),
		)
	}
	return all
}()

// ServeHTTP is part of http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.handler.ServeHTTP(w, r) }

// guard sets the headers of every answer and rejects foreign host names.
func (h *Handler) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "+
			"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		if !h.ownHost(r.Host) {
			http.Error(
				w, "This page is not served under that host name: use localhost or the address.",
				http.StatusMisdirectedRequest,
			)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (h *Handler) ownHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(strings.ToLower(host), "[]")
	if host == "localhost" {
		return true
	}
	for _, name := range h.o.Hosts {
		if strings.EqualFold(host, name) {
			return true
		}
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// Run watches the source until ctx ends.
func (h *Handler) Run(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		h.Refresh(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Refresh takes a snapshot, and notifies all readers if it differs from the last. Run calls it
// every second.
func (h *Handler) Refresh(ctx context.Context) {
	s, err := h.source.Snapshot(ctx)
	if err == nil {
		h.history.add(&s)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	same := (err == nil) == (h.err == nil) && sameFigures(&s, &h.last)
	h.err = err
	if err == nil {
		h.last = s
	}
	if same {
		return
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// sameFigures reports whether two snapshots are equal except for the time.
func sameFigures(a, b *Snapshot) bool {
	return reflect.DeepEqual(a.Pools, b.Pools) && slices.Equal(a.Functions, b.Functions) &&
		sameServers(a.Servers, b.Servers)
}

func sameServers(a, b []Server) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Address != b[i].Address || a[i].State != b[i].State {
			return false
		}
	}
	return true
}

// now returns the last snapshot, and a channel that is closed when there is another.
func (h *Handler) now() (s Snapshot, changed <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last, h.changed, h.err
}

// events notifies the reader via server-sent events when to reload.
func (h *Handler) events(w http.ResponseWriter, r *http.Request) {
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(text string) bool {
		_ = out.SetWriteDeadline(time.Now().Add(10 * time.Second)) // not every writer has one
		if _, err := fmt.Fprint(w, text); err != nil {
			return false
		}
		return out.Flush() == nil
	}
	if !send("retry: 2000\n\n") {
		return
	}
	quiet := time.NewTicker(15 * time.Second)
	defer quiet.Stop()
	_, changed, _ := h.now()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-quiet.C:
			// The ages on the page advance.
			if !send("event: change\ndata: \n\n") {
				return
			}
		case <-changed:
			_, changed, _ = h.now()
			if !send("event: change\ndata: \n\n") {
				return
			}
		}
	}
}

func (h *Handler) serveHistory(w http.ResponseWriter, r *http.Request) {
	shown, ok := h.history.of(r.PathValue("namespace") + "/" + r.PathValue("name"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(shown) // the reader may have disconnected
}

// render writes a page.
func (h *Handler) render(w http.ResponseWriter, status int, name string, v *view) {
	var b bytes.Buffer
	if err := pages[name].ExecuteTemplate(&b, "layout", v); err != nil {
		http.Error(w, "The page can't be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // the reader may have disconnected
}
