package workerruntime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/version"
)

// endpoints serves /healthz, /readyz, /metrics and /statusz.
type endpoints struct {
	listener net.Listener
	server   *http.Server
}

// listen opens the address at once, so that a port in use is an error at the start.
func listen(addr string, r *run) (*endpoints, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if ok, why := r.ready(); !ok {
			answer(w, http.StatusServiceUnavailable, why)
			return
		}
		answer(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		ready, _ := r.ready()
		_ = r.metrics.write(w, r.opts.Concurrency, ready, r.isDraining(), r.worker.Status(), r.handlers)
	})
	mux.HandleFunc("GET /statusz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		_ = enc.Encode(r.status())
	})
	return &endpoints{
		listener: l,
		server: &http.Server{
			Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
			WriteTimeout: 30 * time.Second,
			IdleTimeout:  time.Minute, MaxHeaderBytes: 16 << 10,
		},
	}, nil
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, text)
}

// serve blocks until ctx is done.
func (e *endpoints) serve(ctx context.Context, log *slog.Logger) {
	stop := context.AfterFunc(ctx, func() { _ = e.server.Close() })
	defer stop()
	if err := e.server.Serve(e.listener); !errors.Is(err, http.ErrServerClosed) {
		log.LogAttrs(ctx, slog.LevelError, "HTTP endpoints ended", slog.Any("error", err))
	}
}

// statusz is the content of /statusz.
type statusz struct {
	Version     string                       `json:"version"`
	Uptime      string                       `json:"uptime"`
	Ready       bool                         `json:"ready"`
	NotReady    string                       `json:"notReady,omitempty"`
	Draining    bool                         `json:"draining"`
	Concurrency int                          `json:"concurrency"`
	Busy        int                          `json:"busy"`
	Processes   int                          `json:"processes"`
	Handlers    []statuszHandler             `json:"handlers"`
	Jobs        map[string]map[string]uint64 `json:"jobs"`
	Servers     []statuszServer              `json:"servers"`
}

type statuszHandler struct {
	Functions []string `json:"functions"`
	Mode      string   `json:"mode"`
	Ready     bool     `json:"ready"`
	NotReady  string   `json:"notReady,omitempty"`
	Breaker   string   `json:"breaker"`
	Trouble   string   `json:"trouble,omitempty"`
}

type statuszServer struct {
	Address     string `json:"address"`
	Name        string `json:"name"`
	Version     string `json:"version,omitempty"`
	Connections int    `json:"connections"`
	Reconnects  uint64 `json:"reconnects"`
	LastError   string `json:"lastError,omitempty"`
}

func (r *run) status() statusz {
	st := r.worker.Status()
	s := statusz{
		Version: version.Version, Uptime: time.Since(r.metrics.began).Round(time.Second).String(),
		Draining:    r.isDraining(),
		Concurrency: r.opts.Concurrency, Busy: r.jobs.running(), Processes: r.table.Len(), Jobs: r.metrics.counts(),
		Handlers: []statuszHandler{}, Servers: []statuszServer{},
	}
	s.Ready, s.NotReady = r.ready()
	for _, h := range r.handlers {
		sh := statuszHandler{Functions: h.Functions, Mode: string(h.Mode), Ready: true}
		if up, ok := h.run.(runner); ok {
			sh.Ready, sh.NotReady = up.Ready()
		}
		state, why, unready := h.guard.view()
		sh.Breaker, sh.Trouble = state.String(), why
		if unready {
			sh.Ready, sh.NotReady = false, why
		}
		s.Handlers = append(s.Handlers, sh)
	}
	for _, sv := range st.Servers {
		row := statuszServer{
			Address: sv.Server, Name: sv.Host, Version: sv.Version, Connections: sv.Registered,
			Reconnects: sv.Reconnects,
		}
		if sv.LastError != nil {
			row.LastError = sv.LastError.Error()
		}
		s.Servers = append(s.Servers, row)
	}
	return s
}
